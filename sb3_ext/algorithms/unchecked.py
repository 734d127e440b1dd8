"""Distributions without torch's checks of their parameters, which take a third of a small policy's time."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from torch.distributions import Distribution


@contextmanager
def skip_distribution_checks() -> Iterator[None]:
    """
    Inside, distributions are made of whatever they are given, as with ``python -O``; those that pass the checks are the
    same to the last bit. What the checks would find, weights that are no numbers any more, is for
    :class:`~sb3_ext.callbacks.NanStopCallback` to find.
    """
    before = Distribution._validate_args
    Distribution.set_default_validate_args(False)
    try:
        yield
    finally:
        Distribution.set_default_validate_args(before)
