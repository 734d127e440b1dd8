"""Detect NaN and infinite weights."""

from __future__ import annotations

import torch
from stable_baselines3.common.base_class import BaseAlgorithm


def has_finite_weights(model: BaseAlgorithm) -> bool:
    """
    :param model: a model of any algorithm
    :return: whether all weights of its policy are finite
    """
    with torch.no_grad():
        # A sum is finite only if all its terms are; usable networks do not overflow.
        sums = [parameter.sum(dtype=torch.float64) for parameter in model.policy.parameters()]
        return bool(torch.isfinite(torch.stack(sums)).all()) if sums else True
