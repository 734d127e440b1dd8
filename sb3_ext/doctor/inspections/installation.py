"""The package itself."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from sb3_ext.doctor.check import Check, Finding
from sb3_ext.doctor.inspections.requirement_list import DISTRIBUTION
from sb3_ext.version import __version__

_PACKAGE = Path(__file__).parents[2]


class Installation(Check):
    """Check that the package is installed once, and with its configurations."""

    name = "package"

    def examine(self, directory: Path) -> Finding:
        from sb3_ext.config.shipped import find_shipped_configs

        found = f"sb3-ext {__version__} in {_PACKAGE}"
        try:
            installed = version(DISTRIBUTION)
        except PackageNotFoundError:
            return Finding("FAILED", f"{found}, which pip has not installed", "pip install sb3-ext, or -e . in a clone")
        if installed != __version__:
            return Finding(
                "FAILED", f"{found}, but pip has installed {installed}", "pip install --force-reinstall sb3-ext"
            )
        configs = len(find_shipped_configs())
        if not configs:
            return Finding("FAILED", f"{found}, without configurations", "pip install --force-reinstall sb3-ext")
        return Finding("OK", f"{found}, with {configs} configurations")
