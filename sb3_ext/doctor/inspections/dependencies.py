"""Versions of the dependencies."""

from __future__ import annotations

import shlex
from pathlib import Path

from sb3_ext.doctor.check import Check, Finding
from sb3_ext.doctor.inspections.requirement_list import list_dependencies


class Dependencies(Check):
    """Compare the installed versions of all dependencies with their bounds."""

    name = "dependencies"

    def examine(self, directory: Path) -> Finding:
        needed = list_dependencies()
        wrong = [package for package in needed if not package.is_in_bounds]
        versions = ", ".join(f"{package.requirement.name} {package.installed}" for package in needed)
        if wrong:
            install = shlex.join(["pip", "install", *(package.expected for package in wrong)])
            return Finding("FAILED", "; ".join(map(str, wrong)), install, (versions,))
        return Finding("OK", f"{len(needed)} within their bounds", notes=(versions,))
