"""Versions of Python and packages."""

from __future__ import annotations

import functools
import importlib.metadata
import platform

from sb3_ext.version import __version__

_PACKAGES = ("stable-baselines3", "sb3-contrib", "torch", "gymnasium", "numpy")


@functools.cache
def read_versions() -> dict[str, str]:
    """
    :return: versions by name, of Python, this package, and the packages that building a model depends on
    """
    found = {"python": platform.python_version(), "sb3-ext": __version__}
    return {**found, **{name: importlib.metadata.version(name) for name in _PACKAGES}}
