"""The place of this process among the ranks that a launcher such as ``torchrun`` has started."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass

from sb3_ext.errors import RankError


@dataclass(frozen=True)
class RankPlacement:
    """
    The place of this process among its ranks.

    :param rank: index of this process, from 0
    :param size: number of ranks
    :param local_rank: index among the ranks of this machine
    :param local_size: number of ranks of this machine
    :param max_restarts: how often the launcher restarts all ranks at most
    """

    rank: int
    size: int
    local_rank: int = 0
    local_size: int = 1
    max_restarts: int = 0


def read_placement(environment: Mapping[str, str] | None = None) -> RankPlacement | None:
    """
    Read the variables that ``torchrun`` sets: ``RANK``, ``WORLD_SIZE``, ``LOCAL_RANK`` and so on.

    :param environment: the environment variables; by default those of this process
    :return: the place; ``None`` if this process is alone
    :raises RankError: if a variable is missing or is not a valid number
    """
    variables = os.environ if environment is None else environment
    if not variables.get("WORLD_SIZE") or _read(variables, "WORLD_SIZE", 1) == 1:
        return None
    size = _read(variables, "WORLD_SIZE", 1)
    for name in ("RANK", "MASTER_ADDR", "MASTER_PORT"):
        if name not in variables:
            raise RankError(f"{name} is not set, but WORLD_SIZE is {size}; start the ranks with torchrun")
    local_size = _read(variables, "LOCAL_WORLD_SIZE", 1, default=size)
    return RankPlacement(
        rank=_read(variables, "RANK", 0, size - 1),
        size=size,
        local_rank=_read(variables, "LOCAL_RANK", 0, local_size - 1, default=0),
        local_size=local_size,
        max_restarts=_read(variables, "TORCHELASTIC_MAX_RESTARTS", 0, default=0),
    )


def _read(
    variables: Mapping[str, str], name: str, least: int, most: int | None = None, default: int | None = None
) -> int:
    text = variables.get(name)
    if text is None and default is not None:
        return default
    if text is not None and text.isdecimal() and least <= int(text) and (most is None or int(text) <= most):
        return int(text)
    bound = f"at least {least}" if most is None else f"from {least} to {most}"
    raise RankError(f"{name} must be an integer {bound}, but is {text!r}; torchrun sets it")
