"""Lists of seeds, as ``--seeds`` takes them."""

from __future__ import annotations

import re

from sb3_ext.errors import ConfigError

_MAX_SEEDS = 10_000


def parse_seeds(text: str) -> list[int]:
    """
    Parse a list of seeds.

    :param text: numbers and ranges with both ends included, such as ``0..9`` or ``0..4,10,20``
    :return: the seeds, in this order
    :raises ConfigError: if the text is something else, or has a seed twice
    """
    seeds: list[int] = []
    for part in text.split(","):
        match = re.fullmatch(r"\s*(\d+)(?:\s*\.\.\s*(\d+))?\s*", part)
        if match is None:
            raise ConfigError(f"--seeds {text}: expected numbers and ranges, such as 0..9 or 1,2,5")
        first, last = int(match[1]), int(match[2] or match[1])
        if last < first:
            raise ConfigError(f"--seeds {text}: the range {part.strip()} is empty; write the smaller number first")
        if len(seeds) + last - first >= _MAX_SEEDS:
            raise ConfigError(f"--seeds {text}: more than {_MAX_SEEDS:,} seeds")
        seeds += range(first, last + 1)
    if len(set(seeds)) != len(seeds):
        raise ConfigError(f"--seeds {text}: a seed is given twice")
    return seeds
