"""The time since a run's last heartbeat, which does not depend on how the clocks of two machines are set."""

from __future__ import annotations

import os
import tempfile
import time
from datetime import datetime, timezone
from pathlib import Path

_RENEW_SECONDS = 10.0

_offsets: dict[int, tuple[float, float]] = {}
"""Device -> the time of its file system minus ``time.monotonic()``, and when that was measured."""


def measure_age_by_clock(time_text: str) -> float:
    """
    Measure an age by the clock of this machine.

    :param time_text: ISO 8601, written by this machine
    :return: seconds since then, at least 0
    """
    return max(0.0, (datetime.now(timezone.utc) - datetime.fromisoformat(time_text)).total_seconds())


def measure_age_by_file_system(path: Path) -> float:
    """
    Measure the age of a file that another machine has written.

    The file's time of modification is compared with that of a file created now in the same directory. A file server
    sets both by its own clock. If no file can be created here, the clock of this machine replaces the second.

    :param path: an existing file
    :return: seconds since its last change, at least 0
    :raises OSError: if the file is missing or cannot be accessed
    """
    info = path.stat()
    return max(0.0, time.monotonic() + _find_offset(path.parent, info.st_dev) - info.st_mtime)


def _find_offset(directory: Path, device: int) -> float:
    now = time.monotonic()
    known = _offsets.get(device)
    if known is None or now - known[1] > _RENEW_SECONDS:
        known = _offsets[device] = (_read_file_system_time(directory) - now, now)
    return known[0]


def _read_file_system_time(directory: Path) -> float:
    try:
        with tempfile.TemporaryFile(dir=directory, prefix=".clock.") as file:
            return os.fstat(file.fileno()).st_mtime
    except OSError:
        return time.time()
