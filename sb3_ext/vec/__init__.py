"""Environments: many at once, in other processes, saved and restored."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sb3_ext.vec.check_finite import VecCheckFinite
    from sb3_ext.vec.plain_spaces import PlainSpacesWrapper
    from sb3_ext.vec.workers import WorkerVecEnv

__all__ = ["PlainSpacesWrapper", "VecCheckFinite", "WorkerVecEnv"]

_MODULES = {"PlainSpacesWrapper": "plain_spaces", "VecCheckFinite": "check_finite", "WorkerVecEnv": "workers"}


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module 'sb3_ext.vec' has no attribute '{name}'")
    return getattr(import_module(f"{__name__}.{_MODULES[name]}"), name)
