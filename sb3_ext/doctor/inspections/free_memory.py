"""Memory."""

from __future__ import annotations

from pathlib import Path

from sb3_ext.doctor.check import Check, Finding, Verdict
from sb3_ext.formatting import format_bytes
from sb3_ext.runs.memory_limits import list_memory_limits

_LITTLE_BYTES, _TOO_LITTLE_BYTES = 2**30, 300 * 2**20  # torch alone takes 300 MB


class Memory(Check):
    """Look for memory that a small training needs, in the machine, the container, and the shell's limit."""

    name = "memory"

    def examine(self, directory: Path) -> Finding:
        limits = list_memory_limits()
        least = min(limits, key=lambda limit: limit.free_bytes)
        detail = ", ".join(
            f"{limit.name}: {format_bytes(limit.free_bytes)} of {format_bytes(limit.total_bytes)} free"
            for limit in dict.fromkeys(limits)
        )
        if least.free_bytes < _LITTLE_BYTES:
            verdict: Verdict = "FAILED" if least.free_bytes < _TOO_LITTLE_BYTES else "WARNING"
            return Finding(verdict, detail, f"end other programs, or raise the limit of {least.name}")
        return Finding("OK", detail)
