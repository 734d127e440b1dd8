"""Divide the processor's cores among processes that train at the same time."""

from __future__ import annotations

from collections.abc import Sequence

_THREAD_VARIABLES = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")


def share_cores(jobs: int, cores: Sequence[int]) -> list[list[int] | None]:
    """
    Divide cores, so that the threads of several processes do not compete.

    :param jobs: number of processes
    :param cores: cores that this process may use
    :return: cores of each process; ``None`` if there are more processes than cores, for the kernel to schedule
    """
    each = len(cores) // jobs
    if each == 0:
        return [None] * jobs
    return [list(cores[index * each : (index + 1) * each]) for index in range(jobs)]


def limit_threads(cores: Sequence[int] | None) -> dict[str, str]:
    """
    Limit the threads of numerical libraries.

    :param cores: cores of a process, from :func:`share_cores`
    :return: environment variables for the process
    """
    return dict.fromkeys(_THREAD_VARIABLES, str(1 if cores is None else len(cores)))
