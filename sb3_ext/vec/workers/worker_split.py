"""Divide environments among workers."""

from __future__ import annotations

import math
from pathlib import Path

from sb3_ext.cpu_affinity import list_cores
from sb3_ext.errors import ConfigError

STEP_TIMEOUT_SECONDS = 300.0
"""The default of ``step_timeout_seconds``."""

_CGROUP_QUOTA = Path("/sys/fs/cgroup/cpu.max")


def split_environments(num_envs: int, num_workers: int | None = None, num_envs_per_worker: int | None = None) -> int:
    """
    :param num_envs: environments in all
    :param num_workers: ``None``: follows from the other two; else the largest number, at most one a core, that divides
        the environments evenly
    :param num_envs_per_worker: ``None``: follows from the other two
    :return: number of workers, with the same number of environments each
    :raises ConfigError: if the numbers contradict each other
    """
    if num_workers is None and num_envs_per_worker is None:
        most = min(count_cores(), num_envs)
        return next(workers for workers in range(most, 0, -1) if num_envs % workers == 0)
    workers = num_workers or max(1, num_envs // (num_envs_per_worker or 1))
    if workers > num_envs:
        count = f"{num_envs} environment{'s' * (num_envs > 1)}"
        raise ConfigError(f"{workers} workers for {count}; each needs at least one")
    each = num_envs_per_worker or num_envs // workers
    if workers * each != num_envs and num_workers is None:
        raise ConfigError(
            f"{num_envs} environments cannot be divided into workers of {each}; take a multiple of {each} environments"
        )
    if workers * each != num_envs and num_envs_per_worker is None:
        raise ConfigError(
            f"{num_envs} environments cannot be divided among {workers} workers; take {workers * each} or "
            f"{workers * (each + 1)} environments, or a number of workers that divides {num_envs}"
        )
    if workers * each != num_envs:
        raise ConfigError(
            f"{workers} workers x {each} environments in each are not num_envs = {num_envs}; leave out any one of "
            "the three: it follows from the other two"
        )
    return workers


def count_cores() -> int:
    """
    :return: cores that this process may use; a container may have fewer than the machine
    """
    cores = len(list_cores())
    quota = _read_quota_cores()
    return cores if quota is None else max(1, min(cores, math.floor(quota)))


def _read_quota_cores() -> float | None:
    """Read a container's share from control groups version 2: microseconds of CPU time, and the period they are for."""
    try:
        quota, period = _CGROUP_QUOTA.read_text().split()
        return int(quota) / int(period)
    except (OSError, ValueError):  # no such file, or "max": no limit
        return None
