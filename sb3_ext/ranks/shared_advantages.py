"""Normalise advantages with the mean and the deviation of the minibatches of all ranks."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch

from sb3_ext.ranks.rank_group import RankGroup

_EPSILON = 1e-8  # as in SB3


def compute_shared_moments(group: RankGroup, values: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """
    Compute mean and standard deviation over all ranks.

    :param group: the ranks
    :param values: shape (minibatches, rows); the same number of rows on all ranks
    :return: of each minibatch, in float32, shape (minibatches, 1)
    """
    wide = values.double()
    sums = torch.stack([wide.sum(1), wide.square().sum(1)])
    group.sum(sums)
    count = group.size * values.shape[1]
    mean = sums[0] / count
    variance = (sums[1] - count * mean.square()) / (count - 1)
    return mean[:, None].to(values.dtype), variance.clamp_(min=0.0).sqrt_()[:, None].to(values.dtype)


@contextmanager
def sharing_advantages(group: RankGroup, model: Any) -> Iterator[None]:
    """
    Let the minibatches of a model's rollout buffer have normalised advantages in the block, instead of letting the
    algorithm normalise those of this rank.

    :param group: the ranks
    :param model: a model with a rollout buffer and ``normalize_advantage``
    """
    buffer = getattr(model, "rollout_buffer", None)
    if buffer is None or not getattr(model, "normalize_advantage", False):
        yield
        return

    def get(*arguments: Any, **keywords: Any) -> Iterator[Any]:
        for sample in type(buffer).get(buffer, *arguments, **keywords):
            yield sample._replace(advantages=_normalize(group, sample))

    buffer.get, model.normalize_advantage = get, False
    try:
        yield
    finally:
        del buffer.get
        model.normalize_advantage = True


def _normalize(group: RankGroup, sample: Any) -> torch.Tensor:
    advantages: torch.Tensor = sample.advantages
    mask = getattr(sample, "mask", None)  # of recurrent policies, whose sequences are padded
    counted = advantages if mask is None else advantages[mask > _EPSILON]
    if group.size * len(counted) == 1:
        return advantages
    mean, deviation = compute_shared_moments(group, counted[None])
    return (advantages - mean[0]) / (deviation[0] + _EPSILON)
