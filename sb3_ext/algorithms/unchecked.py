"""Skip torch's checks of the parameters of distributions, which take a third of a small policy's time."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from torch.distributions import Distribution, Normal


@contextmanager
def skip_distribution_checks() -> Iterator[None]:
    """
    Skip the checks inside the block, as ``python -O`` does. Valid distributions are the same to the last bit;
    :class:`~sb3_ext.callbacks.NanStopCallback` finds NaN weights, which the checks would find.
    """
    before = _are_checked()
    Distribution.set_default_validate_args(False)
    try:
        yield
    finally:
        Distribution.set_default_validate_args(before)


def _are_checked() -> bool:
    # Torch has a function that sets this default, and none that reads it.
    try:
        Normal(0.0, -1.0)
    except ValueError:
        return True
    return False
