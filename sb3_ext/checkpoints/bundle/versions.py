"""Versions of Python and packages."""

from __future__ import annotations

import platform

from sb3_ext.installed_packages import read_version
from sb3_ext.version import __version__

_PACKAGES = ("stable-baselines3", "sb3-contrib", "torch", "gymnasium", "numpy")


def read_versions() -> dict[str, str]:
    """
    :return: versions by name, of Python, this package, and the packages that building a model depends on
    """
    found = {"python": platform.python_version(), "sb3-ext": __version__}
    return {**found, **{name: read_version(name) or "unknown" for name in _PACKAGES}}
