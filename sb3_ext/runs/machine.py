"""The machine that a run is on: what its speed has to be judged by."""

from __future__ import annotations

import math
import os
import platform
import re
import socket
from pathlib import Path
from typing import Any

import psutil

_CPU_INFO = Path("/proc/cpuinfo")
_CGROUP_QUOTA = Path("/sys/fs/cgroup/cpu.max")


def describe_machine() -> dict[str, Any]:
    """
    :return: ``host``, ``platform``, ``cpu_model``, ``logical_cores``, ``physical_cores`` (``None`` if unknown),
        ``available_cores`` (see :func:`count_available_cores`) and ``memory_bytes``
    """
    return {
        "host": socket.gethostname(),
        "platform": platform.platform(),
        "cpu_model": _find_cpu_model(),
        "logical_cores": psutil.cpu_count(),
        "physical_cores": psutil.cpu_count(logical=False),
        "available_cores": count_available_cores(),
        "memory_bytes": psutil.virtual_memory().total,
    }


def count_available_cores() -> int:
    """:return: on how many cores this process may run: as far as its affinity and its container's quota let it"""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else psutil.cpu_count() or 1
    quota = _read_quota_cores()
    return cores if quota is None else max(1, min(cores, math.floor(quota)))


def _read_quota_cores() -> float | None:
    """Control groups, version 2: microseconds of processor time in a period of so many microseconds."""
    try:
        quota, period = _CGROUP_QUOTA.read_text().split()
        return int(quota) / int(period)
    except (OSError, ValueError):  # there is no such file, or no limit: "max"
        return None


def _find_cpu_model() -> str | None:
    try:
        match = re.search(r"^model name\s*:\s*(.+)$", _CPU_INFO.read_text(), re.MULTILINE)
    except OSError:
        match = None
    return match[1] if match else platform.processor() or None
