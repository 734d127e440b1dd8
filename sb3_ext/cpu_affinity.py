"""The cores that a process may use. Linux and Windows can restrict them; macOS cannot."""

from __future__ import annotations

import os
from collections.abc import Sequence
from contextlib import suppress

import psutil

_HAS_AFFINITY = hasattr(psutil.Process, "cpu_affinity")


def list_cores() -> list[int]:
    """:return: numbers of the cores that this process may use; all where the system cannot tell"""
    if _HAS_AFFINITY:
        return sorted(psutil.Process().cpu_affinity() or [])
    return list(range(os.cpu_count() or 1))


def restrict_cores(pid: int, cores: Sequence[int]) -> None:
    """
    Let a process use some cores only. Does nothing where the system cannot do so, or if the process has ended.

    :param pid: process id
    :param cores: numbers of the cores
    """
    if _HAS_AFFINITY:
        with suppress(psutil.NoSuchProcess):
            psutil.Process(pid).cpu_affinity(list(cores))
