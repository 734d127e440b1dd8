"""Average what an update logs over the ranks."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch
from stable_baselines3.common.logger import Logger

from sb3_ext.ranks.rank_group import RankGroup

_NUMBERS = (float, np.floating, torch.Tensor)


@contextmanager
def averaging_logged_values(group: RankGroup, log: Logger) -> Iterator[None]:
    """
    Replace the numbers that are logged in the block, such as losses, by their means over all ranks.

    :param group: the ranks
    :param log: logger of the model, in which all ranks log the same names in the block
    """
    earlier = dict(log.name_to_value)
    log.name_to_value.clear()
    try:
        yield
        names = sorted(name for name, value in log.name_to_value.items() if isinstance(value, _NUMBERS))
        means = torch.tensor([float(log.name_to_value[name]) for name in names], dtype=torch.float64)
        group.sum(means)
        log.name_to_value.update(zip(names, (means / group.size).tolist(), strict=True))
    finally:
        for name, value in earlier.items():
            log.name_to_value.setdefault(name, value)
