"""File locks."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path

from sb3_ext.doctor.check import Check, Finding
from sb3_ext.doctor.inspections.directories import can_write, find_existing
from sb3_ext.file_lock import acquire_lock, is_locked
from sb3_ext.runs.run_registry import RUNS

_CODE = """
import sys
from pathlib import Path
from sb3_ext.file_lock import acquire_lock
acquire_lock(Path(sys.argv[1]))
print("locked", flush=True)
sys.stdin.read()
"""
_ADVICE = "keep runs on a local disk, and never start two processes for one run"


class Locks(Check):
    """Lock a file where runs are written, in another process, and kill that."""

    name = "file locks"

    def examine(self, directory: Path) -> Finding:
        place = find_existing(RUNS.absolute())
        if not can_write(place):
            return Finding("SKIPPED", f"{place} cannot be written")
        with tempfile.TemporaryDirectory(dir=place, prefix=".sb3-ext-doctor-") as folder:
            file = Path(folder) / "lock"
            try:
                descriptor = acquire_lock(file)
            except OSError as error:
                return Finding("WARNING", f"{place}: this file system has no locks: {error.strerror or error}", _ADVICE)
            if descriptor is not None:
                os.close(descriptor)
            return self._watch_other_process(place, file)

    def _watch_other_process(self, place: Path, file: Path) -> Finding:
        pipe = subprocess.PIPE
        with subprocess.Popen([sys.executable, "-c", _CODE, str(file)], stdin=pipe, stdout=pipe, text=True) as process:
            try:
                assert process.stdout is not None
                if process.stdout.readline() != "locked\n":
                    return Finding("FAILED", f"{place}: another process cannot lock a file", _ADVICE)
                seen = is_locked(file)
            finally:
                process.kill()
        if seen is not True:
            return Finding("FAILED", f"{place}: a lock of another process is not seen", _ADVICE)
        if is_locked(file) is not False:
            return Finding("FAILED", f"{place}: the lock of a killed process is not released", _ADVICE)
        return Finding("OK", f"{place}: seen by other processes, released by a kill")
