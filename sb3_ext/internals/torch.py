"""
Private names of torch, checked with 2.13.0.

The first torch optimizer imports ``torch._dynamo``, the front end of ``torch.compile``, which takes two seconds and a
hundred megabytes. Without compilation, optimizers use only two of its functions, which then do nothing.
"""

from __future__ import annotations

import importlib
import importlib.util
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any

import torch

_COMPILER = "torch._dynamo"
_CACHE_ATTRIBUTE = "__dynamo_disable"  # where torch._compile keeps what disable() has made of a function


def defer_compiler() -> None:
    """
    Make optimizers without importing ``torch._dynamo``. It is imported at the first use of another of its functions.

    Does nothing if it is already imported. A later ``torch.compile`` works as usual.
    """
    if _COMPILER not in sys.modules:
        stand_in = _DeferredCompiler()
        sys.modules[_COMPILER] = stand_in
        torch._dynamo = stand_in
        sys.meta_path.insert(0, _LoadedSubmodules())


def has_hooks(module: torch.nn.Module) -> bool:
    """
    Return whether a module has hooks that run before or after ``forward``.

    :param module: a torch module
    :return: whether it has such hooks
    """
    return bool(module._forward_hooks or module._forward_pre_hooks)


def get_own_parameters(module: torch.nn.Module) -> dict[str, Any]:
    """
    Return the parameters of a module, without those of its parts.

    :param module: a torch module
    :return: the dictionary in which the module stores them by name, not a copy
    """
    return module._parameters


def get_adam_step(*, is_decoupled: bool) -> Callable[..., None]:
    """
    Return the function that ``Adam(fused=True)`` calls.

    :param is_decoupled: whether weight decay is decoupled from the gradient, as in AdamW
    :return: function that changes lists of weights and of the optimizer's buffers in place
    """
    function: Callable[..., None] = torch._fused_adamw_ if is_decoupled else torch._fused_adam_
    return function


def has_bfloat16_instructions() -> bool:
    """:return: whether the processor has instructions for products of bfloat16 numbers"""
    checks = ("_is_avx512_bf16_supported", "_is_amx_tile_supported")
    return any(getattr(torch.cpu, name, bool)() for name in checks)


@contextmanager
def skipping_distribution_checks() -> Iterator[None]:
    """Make distributions without checks of their arguments, which depend on values and cannot be part of a graph."""
    before = torch.distributions.Distribution._validate_args
    torch.distributions.Distribution.set_default_validate_args(False)
    try:
        yield
    finally:
        torch.distributions.Distribution.set_default_validate_args(before)


def call_after_backward(function: Callable[[], None]) -> None:
    """
    Call a function at the end of the running backward pass, when all gradients are there.

    :param function: called once, in the thread of the backward pass; call this from a hook of a tensor
    """
    torch.autograd.Variable._execution_engine.queue_callback(function)


class _DeferredCompiler(ModuleType):
    """The parts of ``torch._dynamo`` that optimizers use; the first use of another part loads the real module."""

    def __init__(self) -> None:
        super().__init__(_COMPILER)
        self.__spec__ = importlib.util.find_spec(_COMPILER)
        self.__file__ = None if self.__spec__ is None else self.__spec__.origin
        self._undisabled: list[Any] = []

    def graph_break(self, *arguments: Any, **keywords: Any) -> None:
        """Do nothing, as without compilation."""

    def disable(self, fn: Any = None, *arguments: Any, wrapping: bool = True, **keywords: Any) -> Callable[..., Any]:
        """
        Exclude a function from compilation. Functions of torch itself are returned unchanged, since nothing is compiled
        yet.

        :param fn: the function
        :param arguments: further arguments of the real ``disable``
        :param wrapping: ``False`` only in torch's own calls
        :param keywords: further keyword arguments of the real ``disable``
        :return: the function
        """
        if wrapping:
            made: Callable[..., Any] = _load_compiler().disable(fn, *arguments, **keywords)
            return made
        self._undisabled.append(fn)
        return fn  # type: ignore[no-any-return]

    def __getattr__(self, name: str) -> Any:
        # inspect and cloudpickle loop over all modules and look up dunder names: do not load the module for these.
        if name.startswith("__") and name != "__path__":
            raise AttributeError(f"module {_COMPILER!r} has no attribute {name!r}")
        return getattr(_load_compiler(), name)


class _LoadedSubmodules(MetaPathFinder, Loader):
    """Prevents ``import torch._dynamo.config``, which also loads the package, from loading the submodule twice."""

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
        vars(module)["__spec__"] = self._spec  # bypasses the check of attributes in torch's config modules


def _load_compiler() -> ModuleType:
    stand_in = sys.modules.get(_COMPILER)
    if isinstance(stand_in, _DeferredCompiler):
        del sys.modules[_COMPILER]
        for function in stand_in._undisabled:
            vars(function).pop(_CACHE_ATTRIBUTE, None)
    return importlib.import_module(_COMPILER)
