"""
Import SB3 without what only its progress bar and its TensorBoard output need; checked with SB3 2.9.

SB3 imports rich and TensorBoard's writer at the top of its modules, which takes 0.15 s.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable
from importlib.util import find_spec
from types import ModuleType
from typing import Any

# Module -> the package that it needs, and what SB3 takes from it: functions and classes, which it only calls.
_DEFERRED = {
    "tqdm.rich": ("rich", "tqdm"),
    "torch.utils.tensorboard": ("tensorboard", "SummaryWriter"),
    "torch.utils.tensorboard.summary": ("tensorboard", "hparams"),
}


def import_sb3() -> None:
    """
    Import SB3. The progress bar and TensorBoard's writer are imported when SB3 first makes one.

    Other imports of these modules work as usual. Does nothing if SB3 is already imported.
    """
    if "stable_baselines3" in sys.modules:
        return
    stand_ins = {
        module: _make_stand_in(module, name)
        for module, (package, name) in _DEFERRED.items()
        if module not in sys.modules and find_spec(package) is not None  # SB3 notices when a package is missing
    }
    sys.modules.update(stand_ins)
    try:
        importlib.import_module("stable_baselines3")
    finally:
        for module, stand_in in stand_ins.items():
            if sys.modules.get(module) is stand_in:
                del sys.modules[module]


def _make_stand_in(module: str, name: str) -> ModuleType:
    stand_in = ModuleType(module)
    setattr(stand_in, name, _defer(module, name))
    return stand_in


def _defer(module: str, name: str) -> Callable[..., Any]:
    def call(*arguments: Any, **keywords: Any) -> Any:
        return getattr(importlib.import_module(module), name)(*arguments, **keywords)

    call.__name__ = call.__qualname__ = name
    return call
