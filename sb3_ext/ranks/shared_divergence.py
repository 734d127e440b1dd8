"""Let all ranks decide alike whether an update ends early because of ``target_kl``."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch

from sb3_ext.ranks.rank_group import RankGroup


class SharedLimit(float):
    """
    A ``target_kl`` with which the mean of a number over all ranks is compared.

    SB3 evaluates ``approx_kl_div > 1.5 * self.target_kl`` once a minibatch. Each rank would decide by its own
    minibatch, and wait for the others in vain. Here the comparison exchanges the number first.

    :param value: the limit
    :param group: the ranks
    """

    __array_ufunc__ = None  # NumPy's numbers leave the comparison to this class
    group: RankGroup

    def __new__(cls, value: float, group: RankGroup) -> SharedLimit:
        """:return: the number ``value``"""
        limit = super().__new__(cls, value)
        limit.group = group
        return limit

    def __rmul__(self, factor: float) -> SharedLimit:
        return type(self)(factor * float(self), self.group)

    def __lt__(self, number: Any) -> bool:
        total = torch.tensor([float(number)], dtype=torch.float64)
        self.group.sum(total)
        return float(self) < total.item() / self.group.size


@contextmanager
def sharing_divergence(group: RankGroup, model: Any) -> Iterator[None]:
    """
    Compare the KL divergence of all ranks with ``target_kl`` in the block.

    :param group: the ranks
    :param model: any model
    """
    limit = getattr(model, "target_kl", None)
    if limit is None:
        yield
        return
    model.target_kl = SharedLimit(limit, group)
    try:
        yield
    finally:
        model.target_kl = limit
