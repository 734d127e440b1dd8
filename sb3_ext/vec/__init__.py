"""Environments: many at once, in other processes, saved and restored."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sb3_ext.vec.workers import WorkerVecEnv

__all__ = ["WorkerVecEnv"]


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module 'sb3_ext.vec' has no attribute '{name}'")
    from sb3_ext.vec import workers

    return getattr(workers, name)
