"""Whether a model is worth saving."""

from __future__ import annotations

import torch
from stable_baselines3.common.base_class import BaseAlgorithm


def has_finite_weights(model: BaseAlgorithm) -> bool:
    """
    :param model: any
    :return: whether no weight of its policy is NaN or infinite
    """
    with torch.no_grad():
        # A sum is finite only if all that it sums is (or overflows, which no usable network does).
        sums = [parameter.sum(dtype=torch.float64) for parameter in model.policy.parameters()]
        return bool(torch.isfinite(torch.stack(sums)).all()) if sums else True
