"""Defaults and lists of words are written once."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Sequence
from functools import cache
from pathlib import Path
from typing import Any, get_args

import pytest

import sb3_ext
from sb3_ext import callbacks
from sb3_ext.arguments import read_parameters
from sb3_ext.checkpoints.store.checkpoint_store import CheckpointStore
from sb3_ext.checkpoints.store.retention import Retention
from sb3_ext.config.callback_schema import CheckpointParams
from sb3_ext.config.evaluation_schema import EvalConfig, PlateauConfig, TargetConfig
from sb3_ext.config.game_schema import CheckpointOpponentParams, PoolParams, SelfPlayConfig
from sb3_ext.config.parallel_schema import ParallelConfig
from sb3_ext.config.section import Section
from sb3_ext.config.train_schema import TrainConfig
from sb3_ext.config.tune_schema import Objective
from sb3_ext.evaluation.convergence import ConvergenceRule, PlateauRule
from sb3_ext.evaluation.evaluate import evaluate
from sb3_ext.evaluation.evaluators import EvaluationSettings
from sb3_ext.selfplay.frozen_opponent import load_opponent
from sb3_ext.selfplay.pool.pool import OpponentPool
from sb3_ext.selfplay.pool.pool_settings import PoolSettings
from sb3_ext.tuning import objective
from sb3_ext.vec.workers.worker_vec_env import WorkerVecEnv

SAME_NAMES = [
    (CheckpointParams, callbacks.RunCheckpointCallback),
    (CheckpointParams, Retention),
    (CheckpointParams, CheckpointStore),
    (EvalConfig, callbacks.EvaluationCallback),
    (EvalConfig, EvaluationSettings),
    (EvalConfig, evaluate),
    (TargetConfig, callbacks.ConvergenceStopCallback),
    (TargetConfig, ConvergenceRule),
    (PlateauConfig, callbacks.PlateauStopCallback),
    (PlateauConfig, PlateauRule),
    (SelfPlayConfig, PoolSettings),
    (CheckpointOpponentParams, load_opponent),
    (ParallelConfig, WorkerVecEnv),
]
"""A section and a function that takes its values: parameters of the same name must have the same default."""

OTHER_NAMES = [
    (TrainConfig, "log_every_episodes", callbacks.EpisodeLoggingCallback, "every_episodes"),
    (TrainConfig, "status_every_steps", callbacks.HeartbeatCallback, "every_steps"),
    (PoolParams, "heuristic_distribution", OpponentPool, "heuristics"),
]

DIFFERENT = {
    (callbacks.RunCheckpointCallback, "best_by"): "null in the configuration means what the callback cannot know",
}
"""Parameters that have another default than the key, and why."""

WRITTEN_AGAIN = {
    "EpisodeLoggingCallback.every_steps": "of the logger, not of evaluations",
    "load_model.device": "SB3's own default",
}
"""Parameters with a literal default that have the name of a key but another meaning, and which."""


@pytest.mark.parametrize(("section", "function"), SAME_NAMES, ids=lambda item: item.__name__)
def test_defaults_are_the_same(section: type[Section], function: Any) -> None:
    parameters = read_parameters(function)
    compared = {
        name: (field.default, parameters[name].default)
        for name, field in section.model_fields.items()
        if name in parameters and not field.is_required() and (function, name) not in DIFFERENT
        if parameters[name].default is not parameters[name].empty
    }
    assert compared
    assert {name: pair for name, pair in compared.items() if pair[0] != pair[1]} == {}


@pytest.mark.parametrize(("section", "key", "function", "name"), OTHER_NAMES, ids=lambda item: str(item))
def test_defaults_by_another_name_are_the_same(section: type[Section], key: str, function: Any, name: str) -> None:
    assert read_parameters(function)[name].default == section.model_fields[key].default


def test_no_default_is_written_twice() -> None:
    """A number under the name of a key could get out of step with the key; a text could only if it is the same now."""
    defaults: dict[str, list[Any]] = {}
    for section in find_sections(Section):
        for name, field in section.model_fields.items():
            defaults.setdefault(name, []).append(field.default)
    again = {
        where
        for where, value in find_literal_defaults()
        for known in [defaults.get(where.partition(".")[2], [])]
        if value in known or (not isinstance(value, str) and any(is_number(default) for default in known))
    }
    assert again == WRITTEN_AGAIN.keys()


def find_sections(base: type[Section]) -> Iterator[type[Section]]:
    for section in base.__subclasses__():
        yield section
        yield from find_sections(section)


def is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


@cache
def parse_package() -> list[tuple[Path, ast.Module]]:
    root = Path(sb3_ext.__file__).parent
    return [(path.relative_to(root), ast.parse(path.read_text())) for path in sorted(root.rglob("*.py"))]


def find_literal_defaults() -> Iterator[tuple[str, Any]]:
    """Each parameter or field of a class, outside of the configuration, whose default is a literal; and the default."""
    for path, module in parse_package():
        if path.parts[0] == "config":
            continue
        for node in ast.walk(module):
            if isinstance(node, ast.ClassDef):
                fields = [inner for inner in node.body if isinstance(inner, ast.AnnAssign) and inner.value is not None]
                methods = [inner for inner in node.body if isinstance(inner, ast.FunctionDef)]
                yield from select_literals(node.name, [(ast.unparse(item.target), item.value) for item in fields])
                for method in methods:
                    yield from select_literals(
                        node.name if method.name == "__init__" else method.name, zip_defaults(method)
                    )
        for function in module.body:
            if isinstance(function, ast.FunctionDef):
                yield from select_literals(function.name, zip_defaults(function))


def zip_defaults(function: ast.FunctionDef) -> list[tuple[str, ast.expr | None]]:
    arguments = function.args
    positional = [*arguments.posonlyargs, *arguments.args]
    defaults = [*[None] * (len(positional) - len(arguments.defaults)), *arguments.defaults, *arguments.kw_defaults]
    names = [argument.arg for argument in (*positional, *arguments.kwonlyargs)]
    return list(zip(names, defaults, strict=True))


def select_literals(owner: str, defaults: Sequence[tuple[str, ast.expr | None]]) -> Iterator[tuple[str, Any]]:
    """Numbers and texts, other than those that switch off, such as 0."""
    for name, default in defaults:
        if isinstance(default, ast.Constant) and not isinstance(default.value, bool) and default.value:
            yield f"{owner}.{name}", default.value


def test_no_list_of_words_is_written_twice() -> None:
    """A second ``Literal`` of the same words could get out of step with the first."""
    found: dict[frozenset[str], list[str]] = {}
    for path, module in parse_package():
        for node in ast.walk(module):
            if isinstance(node, ast.Subscript) and ast.unparse(node.value).endswith("Literal"):
                words = frozenset(str(item.value) for item in ast.walk(node.slice) if isinstance(item, ast.Constant))
                if len(words) > 1:
                    found.setdefault(words, []).append(f"{path}:{node.lineno}")
    assert len(found) >= 8
    again = {words: places for words, places in found.items() if len(places) > 1}
    assert again == {}


def test_every_objective_is_computed() -> None:
    assert {*objective._JUDGES, "fps"} == {*get_args(Objective)}
