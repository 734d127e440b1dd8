"""The versions that a checkpoint was written with."""

from __future__ import annotations

import functools
import importlib.metadata
import platform

from sb3_ext.version import __version__

_PACKAGES = ("stable-baselines3", "sb3-contrib", "torch", "gymnasium", "numpy")


@functools.cache
def read_versions() -> dict[str, str]:
    """
    :return: version by name: Python's, this package's, and those of what decides whether a model can be built again
    """
    found = {"python": platform.python_version(), "sb3-ext": __version__}
    return {**found, **{name: importlib.metadata.version(name) for name in _PACKAGES}}
