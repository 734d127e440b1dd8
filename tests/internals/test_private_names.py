"""Private names of other libraries are used in sb3_ext.internals alone, but for those that subclasses are given."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SOURCES = sorted([*(ROOT / "sb3_ext").rglob("*.py"), *(ROOT / "envs").rglob("*.py")])

GIVEN_TO_SUBCLASSES = {
    # stable_baselines3 VecEnv: every implementation of it uses these
    *("_seeds", "_options", "_reset_seeds", "_reset_options", "_get_indices"),
    # stable_baselines3 BaseBuffer
    *("_normalize_obs", "_normalize_reward"),
    # stable_baselines3 DQNPolicy
    "_update_features_extractor",
    # pettingzoo AECEnv: its documentation tells every environment to call these
    *("_accumulate_rewards", "_clear_rewards", "_was_dead_step"),
}
"""Names that are called on ``self`` only, in a subclass of the class that defines them for that purpose."""

PUBLIC = {
    *("_asdict", "_fields", "_replace"),  # of named tuples, where the underscore keeps them apart from fields
    "_exit",  # of os
    *("_c_lib", "_clib"),  # of procgen and procgen_gym, which only sb3_ext_envs uses, and that may not import sb3_ext
}


def is_self(node: ast.expr) -> bool:
    return isinstance(node, ast.Name) and node.id in ("self", "cls")


def list_names(tree: ast.AST) -> Iterator[tuple[str, int, bool]]:
    """:return: private names that are read or written on objects: the name, its line, whether the object is ``self``"""
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute):
            yield node.attr, node.lineno, is_self(node.value)
        elif isinstance(node, ast.ImportFrom):
            yield from ((alias.name, node.lineno, False) for alias in node.names)
            yield from ((part, node.lineno, False) for part in (node.module or "").split("."))
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in ("getattr", "setattr"):
            name = node.args[1]
            if isinstance(name, ast.Constant) and isinstance(name.value, str):
                yield name.value, node.lineno, False


def list_definitions(tree: ast.AST) -> Iterator[str]:
    """:return: functions, classes, variables and attributes of ``self`` that a module defines"""
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            yield node.name
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            yield node.id
        elif isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store) and is_self(node.value):
            yield node.attr


def find_foreign_names(source: str, definitions: set[str]) -> list[tuple[str, int]]:
    """
    :param source: of a module
    :param definitions: private names of the whole package
    :return: private names that the package does not define, or uses on another object than ``self`` in a module that
        does not define them
    """
    tree = ast.parse(source)
    own = set(list_definitions(tree))
    return [
        (name, line)
        for name, line, on_self in list_names(tree)
        if name.startswith("_") and not name.startswith("__") and name not in PUBLIC
        if not (on_self and name in GIVEN_TO_SUBCLASSES)
        if name not in definitions or not (on_self or name in own)
    ]


def test_only_internals_uses_private_names_of_others() -> None:
    definitions = {name for path in SOURCES for name in list_definitions(ast.parse(path.read_text()))}
    found = {
        str(path.relative_to(ROOT)): find_foreign_names(path.read_text(), definitions - GIVEN_TO_SUBCLASSES)
        for path in SOURCES
        if path.parent.name != "internals"
    }
    assert {path: names for path, names in found.items() if names} == {}


@pytest.mark.parametrize(
    "line",
    [
        "model._n_updates",
        "self.model._n_updates = 3",
        "getattr(model, '_n_updates', 0)",
        "model._own",  # defined by the package, but elsewhere
        "self._get_torch_save_params()",
        "from stable_baselines3.common.vec_env.patch_gym import _patch_env",
        "from optuna.storages.journal._file import BaseJournalFileLock",
        "venv._seeds",
    ],
)
def test_a_private_name_of_others_is_found(line: str) -> None:
    assert find_foreign_names(line, {"_own"}) != []


@pytest.mark.parametrize("line", ["self._own", "self._seeds", "pair._replace(a=1)", "class A:\n    _x = 1\nb._x"])
def test_own_names_are_not_reported(line: str) -> None:
    assert find_foreign_names(line, {"_own", "_x"}) == []
