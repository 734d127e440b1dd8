"""
The values that a shell completes: configurations, runs, checkpoints, ids, keys.

The functions are for ``shell_complete`` of click's arguments and options. They run at every press of the tab key, so
they import neither torch nor SB3.
"""

from __future__ import annotations

import types
import typing
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Any

from click import Context, Parameter
from click.shell_completion import CompletionItem

from sb3_ext.errors import Sb3ExtError
from sb3_ext.runs.directory_kind import SWEEP_FILE
from sb3_ext.runs.run_registry import RUNS, find_run, find_runs

if TYPE_CHECKING:
    from pydantic import BaseModel

Complete = Callable[[Context, Parameter, str], "list[CompletionItem[str]]"]
_List = Callable[[Context, str], Iterable[str]]

_FILES = "file"  # the type for which the shell itself completes paths


def _completing(list_values: _List) -> Complete:
    """:return: a function for ``shell_complete`` that offers the values with the right beginning, or else paths"""

    @wraps(list_values)
    def complete(context: Context, parameter: Parameter, incomplete: str) -> list[CompletionItem[str]]:
        found: list[str] = []
        with suppress(Sb3ExtError, OSError):  # a message would break the line that the user types
            found = [value for value in list_values(context, incomplete) if value.startswith(incomplete)]
        return [CompletionItem(value) for value in found] or [CompletionItem(incomplete, type=_FILES)]

    return complete


@_completing
def complete_configs(context: Context, incomplete: str) -> Iterator[str]:
    """Names of shipped configurations, and YAML files."""
    from sb3_ext.config.shipped import find_shipped_configs

    yield from find_shipped_configs()
    yield from sorted(path.name for path in Path.cwd().glob("*.y*ml"))


@_completing
def complete_runs(context: Context, incomplete: str) -> list[str]:
    """Runs, by their paths below ``--root``, or below ``runs``."""
    return _list_runs(context)


@_completing
def complete_run_groups(context: Context, incomplete: str) -> list[str]:
    """Names of runs and of sweeps."""
    sweeps = [path.parent.name for path in sorted(RUNS.glob(f"*/{SWEEP_FILE}"))]
    return sweeps + _list_runs(context)


@_completing
def complete_checkpoints(context: Context, incomplete: str) -> Iterator[str]:
    """``best``, ``latest``, and the steps of the run that the command names before."""
    yield from ("best", "latest")
    # While an option has no value yet, click has not divided the other words among the arguments.
    named = context.params.get("target") or context.params.get("run") or next(iter(context.args), None)
    if named is not None:
        for path in sorted(find_run(named).paths.checkpoints.glob("step_*")):
            yield str(int(path.name.removeprefix("step_")))


@_completing
def complete_algorithms(context: Context, incomplete: str) -> list[str]:
    """Ids of algorithms."""
    from sb3_ext.algorithms.algorithm_registry import ALGORITHM_NAMES

    return ALGORITHM_NAMES.list_names()


@_completing
def complete_environments(context: Context, incomplete: str) -> list[str]:
    """Ids of Gymnasium's environments."""
    import gymnasium

    return sorted(gymnasium.registry)


@_completing
def complete_opponents(context: Context, incomplete: str) -> list[str]:
    """Names of opponents, and of runs."""
    from sb3_ext.selfplay.opponents.opponent_registry import OPPONENTS

    return OPPONENTS.list_names() + _list_runs(context)


@_completing
def complete_launchers(context: Context, incomplete: str) -> list[str]:
    """Names of launchers."""
    from sb3_ext.launching.launcher_registry import LAUNCHERS

    return LAUNCHERS.list_names()


@_completing
def complete_devices(context: Context, incomplete: str) -> tuple[str, ...]:
    """Torch's devices."""
    return "auto", "cpu", "cuda", "cuda:0", "mps"


@_completing
def complete_threads(context: Context, incomplete: str) -> tuple[str, ...]:
    """``auto``; a number is for the user."""
    return ("auto",)


@_completing
def complete_assignments(context: Context, incomplete: str) -> Iterator[str]:
    """Keys of the configuration, as ``train.total_steps=``; for a mapping of any names, such as ``agent.params.``."""
    from sb3_ext.config.schema import RunConfig

    yield from _list_keys(RunConfig)


def _list_runs(context: Context) -> list[str]:
    root = context.params.get("root") or RUNS
    return [run.paths.root.relative_to(root).as_posix() for run in find_runs(root)]


def _list_keys(section: type[BaseModel], prefix: str = "") -> Iterator[str]:
    for name, field in section.model_fields.items():
        key = prefix + (field.alias or name)
        inner = [part for part in _list_parts(field.annotation) if isinstance(part, type) and _is_section(part)]
        if inner:
            for part in inner:
                yield from _list_keys(part, f"{key}.")
        else:
            parts = [part for part in _list_parts(field.annotation) if part is not type(None)]
            yield f"{key}{'.' if all(map(_is_mapping, parts)) else '='}"


def _list_parts(annotation: Any) -> tuple[Any, ...]:
    is_union = typing.get_origin(annotation) in (typing.Union, types.UnionType)
    return typing.get_args(annotation) if is_union else (annotation,)


def _is_mapping(part: Any) -> bool:
    if typing.get_origin(part) is typing.Annotated:
        part = typing.get_args(part)[0]
    return typing.get_origin(part) in (dict, Mapping)


def _is_section(part: type) -> bool:
    return hasattr(part, "model_fields")
