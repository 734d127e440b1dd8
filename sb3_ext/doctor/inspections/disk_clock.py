"""Clocks."""

from __future__ import annotations

import tempfile
import time
from datetime import datetime, timezone
from pathlib import Path

from sb3_ext.doctor.check import Check, Finding
from sb3_ext.doctor.inspections.directories import can_write, find_existing
from sb3_ext.runs.run_registry import RUNS

_EARLIEST = datetime(2025, 1, 1, tzinfo=timezone.utc)  # the package is younger
_MOST_SKEW_SECONDS = 5.0


class Clock(Check):
    """Compare the clock of this machine with that of the disk for runs, by which other machines judge heartbeats."""

    name = "clock"

    def examine(self, directory: Path) -> Finding:
        now = datetime.now(timezone.utc)
        began = time.monotonic()
        time.sleep(0.01)
        if time.monotonic() <= began:
            return Finding("FAILED", "the monotonic clock stands still", "restart the machine")
        place = find_existing(RUNS.absolute())
        if not can_write(place):
            return Finding("SKIPPED", f"{place}, whose clock would be compared, cannot be written")
        skew = measure_skew(place)
        detail = f"{now:%Y-%m-%d %H:%M:%S} UTC, {abs(skew):.1f} s from the clock of the disk for runs"
        if now < _EARLIEST:
            return Finding("WARNING", detail, "set the clock: names of runs and their order have the time in them")
        if abs(skew) > _MOST_SKEW_SECONDS:
            return Finding("WARNING", detail, "synchronise the clocks of this machine and of the file server (NTP)")
        return Finding("OK", detail)


def measure_skew(directory: Path) -> float:
    """
    :param directory: an existing directory
    :return: time of its disk minus time of this machine, in seconds
    """
    with tempfile.TemporaryDirectory(dir=directory, prefix=".sb3-ext-doctor-") as folder:
        file = Path(folder) / "time"
        file.touch()
        return file.stat().st_mtime - time.time()
