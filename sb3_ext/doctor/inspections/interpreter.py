"""Python itself."""

from __future__ import annotations

import platform
import struct
import sys
from importlib.metadata import PackageNotFoundError, metadata
from pathlib import Path

from packaging.specifiers import SpecifierSet

from sb3_ext.doctor.check import Check, Finding
from sb3_ext.doctor.inspections.requirement_list import DISTRIBUTION


class Interpreter(Check):
    """Compare the version of Python with what the package supports."""

    name = "Python"

    def examine(self, directory: Path) -> Finding:
        version = platform.python_version()
        try:
            expected = metadata(DISTRIBUTION)["Requires-Python"] or ""
        except PackageNotFoundError:
            expected = ""
        bits = 8 * struct.calcsize("P")
        found = f"{platform.python_implementation()} {version}, {bits} bits, {platform.platform()}"
        if sys.implementation.name != "cpython" or bits != 64:
            return Finding("FAILED", found, "install CPython for 64 bits: torch needs it")
        if not SpecifierSet(expected).contains(version, prereleases=True):
            return Finding("FAILED", f"{found}; expected {expected}", f"install Python {expected}")
        return Finding("OK", found)
