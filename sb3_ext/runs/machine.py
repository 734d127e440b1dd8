"""Describe the machine of a run, to compare the speed of runs."""

from __future__ import annotations

import platform
import re
import socket
from pathlib import Path
from typing import Any

import psutil

from sb3_ext.vec.workers.worker_split import count_cores

_CPU_INFO = Path("/proc/cpuinfo")


def describe_machine() -> dict[str, Any]:
    """
    :return: ``host``, ``platform``, ``cpu_model``, ``logical_cores``, ``physical_cores`` (``None`` if unknown),
        ``available_cores``, those of this process, and ``memory_bytes``
    """
    return {
        "host": socket.gethostname(),
        "platform": platform.platform(),
        "cpu_model": _read_cpu_model(),
        "logical_cores": psutil.cpu_count(),
        "physical_cores": psutil.cpu_count(logical=False),
        "available_cores": count_cores(),
        "memory_bytes": psutil.virtual_memory().total,
    }


def _read_cpu_model() -> str | None:
    try:
        match = re.search(r"^model name\s*:\s*(.+)$", _CPU_INFO.read_text(), re.MULTILINE)
    except OSError:
        match = None
    return match[1] if match else platform.processor() or None
