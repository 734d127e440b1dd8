"""
Private names of torch, checked with 2.13.0.

Torch's optimizers import ``torch._dynamo``, the front end of ``torch.compile``, when the first of them is made: two
seconds and a hundred megabytes, of which a training that compiles nothing uses two functions that do nothing then.
"""

from __future__ import annotations

import importlib
import importlib.util
import sys
from collections.abc import Callable, Sequence
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any

import torch

_COMPILER = "torch._dynamo"
_CACHE_ATTRIBUTE = "__dynamo_disable"  # where torch._compile keeps what disable() has made of a function


def defer_compiler() -> None:
    """
    Let optimizers be made without importing ``torch._dynamo``; it is imported as soon as anything else of it is used.

    Does nothing if it is imported already. A later ``torch.compile`` works as ever.
    """
    if _COMPILER not in sys.modules:
        stand_in = _DeferredCompiler()
        sys.modules[_COMPILER] = stand_in
        torch._dynamo = stand_in
        sys.meta_path.insert(0, _LoadedSubmodules())


def has_hooks(module: torch.nn.Module) -> bool:
    """
    Say whether a module does something else than its class when it is called.

    :param module: of torch
    :return: whether it has hooks that run before or after ``forward``
    """
    return bool(module._forward_hooks or module._forward_pre_hooks)


class _DeferredCompiler(ModuleType):
    """What optimizers use of ``torch._dynamo``; the first use of anything else puts the real module in its place."""

    def __init__(self) -> None:
        super().__init__(_COMPILER)
        self.__spec__ = importlib.util.find_spec(_COMPILER)
        self.__file__ = None if self.__spec__ is None else self.__spec__.origin
        self._undisabled: list[Any] = []

    def graph_break(self, *arguments: Any, **keywords: Any) -> None:
        """Do nothing, as outside of a compilation."""

    def disable(self, fn: Any = None, *arguments: Any, wrapping: bool = True, **keywords: Any) -> Callable[..., Any]:
        """
        Keep a function from being compiled: torch's own functions, while nothing is compiled, are left as they are.

        :param fn: the function
        :param arguments: of the real ``disable``
        :param wrapping: torch's own calls, and only these, say false
        :param keywords: of the real ``disable``
        :return: the function
        """
        if wrapping:
            made: Callable[..., Any] = _load_compiler().disable(fn, *arguments, **keywords)
            return made
        self._undisabled.append(fn)
        return fn  # type: ignore[no-any-return]

    def __getattr__(self, name: str) -> Any:
        # Loops over all modules, as inspect's and cloudpickle's, ask for dunder names, and use nothing of it.
        if name.startswith("__") and name != "__path__":
            raise AttributeError(f"module {_COMPILER!r} has no attribute {name!r}")
        return getattr(_load_compiler(), name)


class _LoadedSubmodules(MetaPathFinder, Loader):
    """Keeps ``import torch._dynamo.config``, which loads the package on the way, from loading the submodule twice."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if target is not None or not fullname.startswith(f"{_COMPILER}.") or fullname not in sys.modules:
            return None
        return ModuleSpec(fullname, self)

    def create_module(self, spec: ModuleSpec) -> ModuleType:
        module = sys.modules[spec.name]
        self._spec = module.__spec__
        return module

    def exec_module(self, module: ModuleType) -> None:
        vars(module)["__spec__"] = self._spec  # past the attributes that a module of settings guards


def _load_compiler() -> ModuleType:
    stand_in = sys.modules.get(_COMPILER)
    if isinstance(stand_in, _DeferredCompiler):
        del sys.modules[_COMPILER]
        for function in stand_in._undisabled:
            vars(function).pop(_CACHE_ATTRIBUTE, None)
    return importlib.import_module(_COMPILER)
