"""Limits of the shell and of the container."""

from __future__ import annotations

import shutil
from pathlib import Path

from sb3_ext.doctor.check import Check, Finding, Verdict
from sb3_ext.formatting import format_bytes

_SHARED_MEMORY = Path("/dev/shm")
_FEW_FILES, _TOO_FEW_FILES = 1024, 256
_LITTLE_SHARED_BYTES = 64 * 2**20  # the default of Docker
_FEW_PROCESSES = 100
_SMALL_FILE_BYTES = 100 * 2**20


class ShellLimits(Check):
    """Look for limits that break trainings: open files, processes, sizes of files, CPU time, shared memory."""

    name = "limits"

    def examine(self, directory: Path) -> Finding:
        limits = _read_limits()
        described: list[str] = []
        failed: list[str] = []
        warned: list[str] = []
        advice: list[str] = []
        files = limits.get("RLIMIT_NOFILE")
        if files is not None:
            described.append(f"open files: {files}")
            if files < _FEW_FILES:
                (failed if files < _TOO_FEW_FILES else warned).append(f"only {files} open files are allowed")
                advice.append("ulimit -n 4096")
        processes = limits.get("RLIMIT_NPROC")
        if processes is not None and processes < _FEW_PROCESSES:
            warned.append(f"only {processes} processes and threads are allowed")
            advice.append("ulimit -u 4096")
        size = limits.get("RLIMIT_FSIZE")
        if size is not None and size < _SMALL_FILE_BYTES:
            failed.append(f"files are limited to {format_bytes(size)}")
            advice.append("ulimit -f unlimited")
        seconds = limits.get("RLIMIT_CPU")
        if seconds is not None:
            warned.append(f"processes are killed after {seconds} s of CPU time")
            advice.append("ulimit -t unlimited")
        if _SHARED_MEMORY.is_dir():
            shared = shutil.disk_usage(_SHARED_MEMORY).total
            described.append(f"{_SHARED_MEMORY}: {format_bytes(shared)}")
            if shared <= _LITTLE_SHARED_BYTES:
                warned.append(f"{_SHARED_MEMORY} has only {format_bytes(shared)}, for data that processes share")
                advice.append("docker run --shm-size=1g")
        if failed or warned:
            verdict: Verdict = "FAILED" if failed else "WARNING"
            return Finding(verdict, "; ".join(failed + warned), "; ".join(advice))
        return Finding("OK", ", ".join(described) or "none")


def _read_limits() -> dict[str, int]:
    """:return: name -> soft limit of this process; those that are unlimited, or unknown to the system, are left out"""
    try:
        import resource
    except ImportError:  # Windows
        return {}
    found = {
        name: resource.getrlimit(getattr(resource, name))[0]
        for name in ("RLIMIT_NOFILE", "RLIMIT_NPROC", "RLIMIT_FSIZE", "RLIMIT_CPU")
        if hasattr(resource, name)
    }
    return {name: limit for name, limit in found.items() if limit != resource.RLIM_INFINITY}
