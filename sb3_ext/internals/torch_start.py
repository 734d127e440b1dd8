"""
Import torch in three quarters of the time, with a private module of torch 2.13.

``import torch`` spends a quarter of its time on ``torch._meta_registrations``, which computes the shapes of operations
on the device ``meta`` and on fake tensors. Stable-Baselines3 uses neither. This module does not import torch.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Sequence
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder
from types import ModuleType
from typing import Any

_REGISTRATIONS = "torch._meta_registrations"
_USERS = frozenset({"torch._decomp", "torch._dynamo", "torch._export", "torch._inductor"})
"""What computes with fake tensors imports one of these first."""

_WITHOUT_META = sys.stdlib_module_names | {
    *("PIL", "absl", "annotated_types", "click", "cloudpickle", "contourpy", "cycler", "dateutil", "defusedxml"),
    *("farama_notifications", "fontTools", "fsspec", "google", "gymnasium", "imageio", "jax", "jaxlib", "kiwisolver"),
    *("lazy_loader", "markdown_it", "matplotlib", "mdurl", "ml_dtypes", "mpl_toolkits", "mpmath", "numpy", "openskill"),
    *("opt_einsum", "packaging", "psutil", "pydantic", "pydantic_core", "pygments", "pyparsing", "rich", "safetensors"),
    *("sb3_contrib", "sb3_ext", "sb3_ext_envs", "scipy", "setuptools", "six", "stable_baselines3", "sympy"),
    *("tensorboard", "torch", "torchgen", "tqdm", "typing_extensions", "typing_inspection", "yaml"),
}
"""Packages that a training without code of others imports. None of them uses the device ``meta``."""


def defer_meta_registrations() -> None:
    """
    Let the first ``import torch`` of this process skip ``torch._meta_registrations``.

    It is imported before any package that is not known to do without it, so that a network of the user's may use the
    device ``meta``, and with the modules that ``torch.compile`` and fake tensors use. Does nothing if torch is imported
    already.
    """
    if "torch" not in sys.modules and not any(isinstance(finder, _DeferringFinder) for finder in sys.meta_path):
        sys.meta_path.insert(0, _DeferringFinder())


class _DeferringFinder(MetaPathFinder):
    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if fullname == _REGISTRATIONS:
            return ModuleSpec(fullname, _StandInLoader(self))
        if fullname in _USERS:
            spec = PathFinder.find_spec(fullname, path, target)
            if spec is not None and spec.loader is not None:
                spec.loader = _UserLoader(self, spec.loader)
            return spec
        if path is None and not _is_known(fullname) and self._exists(fullname):
            self.end()
        return None

    def _exists(self, fullname: str) -> bool:
        others = [finder for finder in sys.meta_path if finder is not self]
        return any(finder.find_spec(fullname, None) is not None for finder in others)

    def end(self) -> None:
        """Import the module if it was skipped, and skip it no longer."""
        if self in sys.meta_path:
            sys.meta_path.remove(self)
            if sys.modules.pop(_REGISTRATIONS, None) is not None:
                importlib.import_module(_REGISTRATIONS)


def _is_known(name: str) -> bool:
    # Also private modules: of the standard library, such as _sysconfigdata_…, and of packages that mypyc has compiled.
    return name in _WITHOUT_META or name.startswith("_") or name.endswith("__mypyc")


class _StandInLoader(Loader):
    def __init__(self, finder: _DeferringFinder) -> None:
        self._finder = finder

    def create_module(self, spec: ModuleSpec) -> ModuleType:
        return _StandIn(self._finder)

    def exec_module(self, module: ModuleType) -> None:
        """Leave the module empty."""


class _StandIn(ModuleType):
    """The skipped module, which is imported when a name in it is used."""

    def __init__(self, finder: _DeferringFinder) -> None:
        super().__init__(_REGISTRATIONS)
        self._finder = finder

    def __getattr__(self, name: str) -> Any:
        # inspect and cloudpickle loop over all modules and look up dunder names: do not import it for these.
        if name.startswith("__"):
            raise AttributeError(f"module {_REGISTRATIONS!r} has no attribute {name!r}")
        self._finder.end()
        return getattr(sys.modules[_REGISTRATIONS], name)


class _UserLoader(Loader):
    """Loads a module with its own loader, and then the skipped one, which imports it in turn."""

    def __init__(self, finder: _DeferringFinder, loader: Loader) -> None:
        self._finder = finder
        self._loader = loader

    def create_module(self, spec: ModuleSpec) -> ModuleType | None:
        spec.loader = self._loader
        return self._loader.create_module(spec)

    def exec_module(self, module: ModuleType) -> None:
        module.__loader__ = self._loader
        self._loader.exec_module(module)
        self._finder.end()
