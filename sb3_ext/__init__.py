"""
Training runs for Stable-Baselines3 that you can leave alone for a week.

Importing this is cheap: torch is loaded by the first thing that needs it.
"""

from __future__ import annotations

import importlib
import sys
from typing import TYPE_CHECKING, Any

from sb3_ext.version import __version__

if TYPE_CHECKING:
    from sb3_ext.checkpoints.model_loading import load_model as load
    from sb3_ext.errors import CheckpointError, ConfigError, MissingExtraError, RunError, Sb3ExtError, TuningError
    from sb3_ext.runs.run import Run
    from sb3_ext.training import load_run, train
    from sb3_ext.training import resuming as resume
    from sb3_ext.tuning.study_run import tune

# SB3 imports the old gym, which Procgen brings along, and gym's only use of this module is to print a banner.
sys.modules.setdefault("gym_notices", None)  # type: ignore[arg-type]

_MODULES = {
    "CheckpointError": "errors",
    "ConfigError": "errors",
    "MissingExtraError": "errors",
    "RunError": "errors",
    "Sb3ExtError": "errors",
    "TuningError": "errors",
    "Run": "runs.run",
    "load": "checkpoints.model_loading",
    "load_run": "training",
    "resume": "training",
    "train": "training",
    "tune": "tuning.study_run",
}

_NAMES = {"load": "load_model"}

__all__ = [
    "CheckpointError",
    "ConfigError",
    "MissingExtraError",
    "Run",
    "RunError",
    "Sb3ExtError",
    "TuningError",
    "__version__",
    "load",
    "load_run",
    "resume",
    "train",
    "tune",
]


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module 'sb3_ext' has no attribute '{name}'")
    return getattr(importlib.import_module(f"sb3_ext.{_MODULES[name]}"), _NAMES.get(name, name))


def __dir__() -> list[str]:
    return __all__
