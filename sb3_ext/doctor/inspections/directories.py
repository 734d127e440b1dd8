"""Directories that trainings write."""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path

from sb3_ext.cache_directory import CACHE_VARIABLE, find_cache_root
from sb3_ext.doctor.check import Check, Finding, Verdict
from sb3_ext.formatting import format_bytes
from sb3_ext.runs.run_registry import RUNS

_LITTLE_BYTES, _TOO_LITTLE_BYTES = 2**30, 50 * 2**20


class Directories(Check):
    """Write a file where runs, the cache and temporary files are written."""

    name = "directories"

    def examine(self, directory: Path) -> Finding:
        places = {
            "runs": (RUNS.absolute(), "give --run-dir, or change to another directory"),
            "cache": (find_cache_root(), f"set {CACHE_VARIABLE} to another directory"),
            "temporary": (Path(tempfile.gettempdir()), "set TMPDIR to another directory"),
        }
        described: list[str] = []
        problems: list[str] = []
        warnings: list[str] = []
        advice: list[str] = []
        for name, (place, remedy) in places.items():
            try:
                existing = find_existing(place)
                _write_file(existing)
                free = shutil.disk_usage(existing).free
            except OSError as error:
                problems.append(f"{name}: {place} cannot be written: {error.strerror or error}")
                advice.append(remedy)
                continue
            described.append(f"{name}: {place}, {format_bytes(free)} free")
            if free < _LITTLE_BYTES:
                (problems if free < _TOO_LITTLE_BYTES else warnings).append(
                    f"{name}: the disk of {place} is nearly full"
                )
                advice.append(f"free space, or {remedy}")
        if problems or warnings:
            verdict: Verdict = "FAILED" if problems else "WARNING"
            return Finding(verdict, "; ".join(problems + warnings), "; ".join(advice), tuple(described))
        return Finding("OK", "; ".join(described))


def find_existing(place: Path) -> Path:
    """
    :param place: a directory that may not exist yet
    :return: it, or the directory in which it, or its parents, would be created
    """
    return next(path for path in (place, *place.parents) if os.path.lexists(path))


def can_write(directory: Path) -> bool:
    """
    :param directory: an existing directory
    :return: whether files can be written there
    """
    try:
        _write_file(directory)
    except OSError:
        return False
    return True


def _write_file(directory: Path) -> None:
    with tempfile.TemporaryFile(dir=directory) as file:
        file.write(b"sb3-ext")
        file.flush()
        os.fsync(file.fileno())
