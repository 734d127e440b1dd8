"""Merge a run's configuration with the changes given at a resume."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from sb3_ext.building.model import fill_defaults
from sb3_ext.building.parallel import make_configured_backend, use_mode
from sb3_ext.building.run_config import load_run_config
from sb3_ext.checkpoints.bundle.bundle import Bundle
from sb3_ext.checkpoints.bundle.migration import rename_engine
from sb3_ext.config import (
    ConfigSource,
    Override,
    RunConfig,
    load_config,
    mock_environment,
    read_source,
    restore_environment,
)
from sb3_ext.config.callback_schema import CHECKPOINT_TYPE
from sb3_ext.config.parallel_schema import ParallelConfig
from sb3_ext.config.yaml_document import parse_document
from sb3_ext.errors import ConfigError, RunError
from sb3_ext.problems import Key
from sb3_ext.runs.run import Run
from sb3_ext.training.run_identity import check_identity
from sb3_ext.vec.backends.parallel_modes import PARALLEL_MODES

CHANGEABLE: tuple[Key, ...] = (
    ("train", "total_steps"),
    ("train", "total_episodes"),
    ("train", "duration"),
    ("train", "track_timings"),
    ("train", "log_every_episodes"),
    ("train", "status_every_steps"),
    ("agent", "engine"),
    ("agent", "threads"),
    ("eval",),
    ("early_stopping",),
    ("tracking",),
)
"""
Keys that a resume may change, beside checkpoints and some of ``parallel``: past steps do not depend on them. Another
engine, or another number of threads, rounds differently, so such a resume is approximate.
"""

_MODE: Key = ("parallel", "mode")
_DIVISION: tuple[Key, ...] = (_MODE, ("parallel", "num_workers"), ("parallel", "num_envs_per_worker"))
"""Keys that divide the environments over processes."""

_DECIDED = ((("parallel", "mode"), "auto"), (("agent", "engine"), "auto"), (("agent", "threads"), "auto"))
"""A resume keeps the mode, the engine and the threads that ``auto`` chose at the start."""


@dataclass(frozen=True)
class Restatement:
    """
    The configuration given at a resume.

    :param config: a configuration; ``None`` for none
    :param overrides: overrides of single keys
    :param is_mock: whether ``--mock-env`` is given
    """

    config: str | Path | Mapping[str, Any] | None = None
    overrides: Sequence[Override] = ()
    is_mock: bool = False


class ResumedConfig(NamedTuple):
    """
    The configuration of a resume.

    :param config: the run's, with the changes
    :param changes: the keys that have another value from now on
    """

    config: RunConfig
    changes: list[str]


def load_resumed_config(run: Run, restated: Restatement, bundle: Bundle | None = None) -> ResumedConfig:
    """
    Load a run's configuration with the changes given at a resume.

    Values equal to the run's are not changes, so the same command line resumes the same run.

    :param run: the run
    :param restated: the configuration given at the resume
    :param bundle: the checkpoint to resume from
    :return: the merged configuration, and what differs from before
    :raises ConfigError: if a key would change that past steps depend on; one line for each key
    :raises RunError: if only one of run and resume has a mock environment
    """
    migrations = [] if bundle is None else _migrate(load_run_config(run.paths), bundle)
    before = load_run_config(run.paths, migrations)
    check_identity(run, restore_environment(before) if before.is_mock else before, restated.overrides)
    source = None if restated.config is None else read_source(restated.config)
    given = None if source is None else load_config(source, restated.overrides)
    _check_mock(run, before, given, is_mock=restated.is_mock)
    own = restore_environment(before) if restated.is_mock else before
    overrides = list(restated.overrides)
    if source is not None and given is not None and source.text != run.config_text:
        _check_task(run, own, given, source)
        overrides = [*_find_config_changes(run, given, source), *overrides]
    overrides = [*migrations, *(item for item in overrides if (item.key, item.value) not in _DECIDED)]
    data = own.model_dump(mode="json", by_alias=True) if restated.is_mock else run.paths.resolved_config
    if any(item.key in _DIVISION for item in overrides):
        data = _forget_division(own, overrides)
    after = load_config(data, overrides)
    if restated.is_mock:
        after = restore_environment(mock_environment(after))  # without keys that a mock environment does not need
    past, future = _dump_past(own), _dump_past(after)
    changed = list(_find_differences(past, future))
    changeable = [*CHANGEABLE, *_list_changeable_settings(own.parallel, after.parallel)]
    refused = [key for key in changed if not any(key[: len(prefix)] == prefix for prefix in changeable)]
    if refused:
        differences = [_describe_difference(key, past, future, overrides) for key in refused]
        names = ", ".join(".".join(map(str, key)) for key in changeable)
        raise ConfigError(
            [
                *differences,
                f"a resume cannot change what past steps depend on; it may change {names}, and checkpoints; for "
                "anything else start a new run, for example with --init-from a checkpoint of this one",
            ]
        )
    config = mock_environment(after) if restated.is_mock else after
    return ResumedConfig(config, sorted(".".join(map(str, key)) for key in changed))


def _migrate(config: RunConfig, bundle: Bundle) -> list[Override]:
    """:return: overrides for values of an earlier version that have other names today"""
    engine_id = rename_engine(config.agent.engine, bundle.manifest.format)
    return [] if engine_id == config.agent.engine else [Override(("agent", "engine"), engine_id, str(bundle.path))]


def _forget_division(config: RunConfig, overrides: Sequence[Override]) -> dict[str, Any]:
    """
    :return: the configuration without the recorded numbers of processes, for overrides that divide the environments
        over processes in another way; and, for another mode, without settings that it does not take
    """
    parallel = config.parallel
    mode: Any = parallel.mode
    for item in overrides:
        if item.key == _MODE and not (item.keeps is not None and item.keeps(mode)):
            mode = item.value
    if mode != parallel.mode and mode in PARALLEL_MODES:
        parallel = use_mode(parallel, mode)
    data = config.model_dump(mode="json", by_alias=True)
    kept = parallel.model_dump(mode="json", exclude={str(name) for _, name in _DIVISION})
    return {**data, "parallel": {"mode": parallel.mode, **kept}}


def _list_changeable_settings(before: ParallelConfig, after: ParallelConfig) -> list[Key]:
    """:return: the keys below ``parallel`` on which no result depends"""
    backends = [type(make_configured_backend(parallel)) for parallel in (before, after)]
    names = {name for backend in backends for name in backend.changeable}
    if all(backend.is_interchangeable for backend in backends):
        names.update(str(name) for _, name in _DIVISION)
    own = ParallelConfig.model_fields
    return [("parallel", name) if name in own else ("parallel", "params", name) for name in sorted(names)]


def _check_mock(run: Run, before: RunConfig, given: RunConfig | None, *, is_mock: bool) -> None:
    root = run.paths.root
    if is_mock and not before.is_mock:
        raise RunError(
            f"--mock-env: {root} was begun without it; leave it out to resume the run, or begin another with --run-dir"
        )
    if before.is_mock and not is_mock and given is not None and not given.is_mock:
        raise RunError(f"{root}: was begun with --mock-env; add it to resume the run, or begin another with --run-dir")


def _check_task(run: Run, own: RunConfig, given: RunConfig, source: ConfigSource) -> None:
    if (given.agent.id, given.task_id) != (own.agent.id, own.task_id):
        raise ConfigError(
            f"{source.place}: is for {given.agent.id} on {given.task_id}, but {run.paths.root} is a run of "
            f"{own.agent.id} on {own.task_id}: leave out the configuration to resume it, or begin another run with "
            "--run-dir"
        )


def _find_config_changes(run: Run, given: RunConfig, source: ConfigSource) -> list[Override]:
    """:return: overrides for the differences between a given configuration and the run's original one"""
    document = parse_document(source.content, source.place)
    begun = parse_document(run.config_text, str(run.paths.config))
    values = fill_defaults(given).model_dump(mode="json", by_alias=True)
    changes = {}
    for key in _find_differences(begun.value or {}, document.value or {}):
        known, value = _find_value(values, key)
        line = (source.lines or document.lines).get(known)
        changes[known] = Override(known, value, source.place if line is None else f"{source.place}:{line}")
    return list(changes.values())


def _find_value(config: Mapping[str, Any], key: Key) -> tuple[Key, Any]:
    """:return: a key and its value; if the key does not exist, those of the innermost mapping above it"""
    value: Any = config
    for depth, part in enumerate(key):
        if not isinstance(value, Mapping) or part not in value:
            return key[:depth], value
        value = value[part]
    return key, value


def _dump_past(config: RunConfig) -> dict[str, Any]:
    """:return: the configuration without checkpoint settings, which may change, and without ``tune``"""
    dumped = config.model_dump(exclude={"tune"})
    callbacks = dumped["train"]["callbacks"]
    dumped["train"]["callbacks"] = [entry for entry in callbacks if entry["type"] != CHECKPOINT_TYPE]
    return dumped


def _find_differences(before: Any, after: Any, key: Key = ()) -> Iterator[Key]:
    if isinstance(before, Mapping) and isinstance(after, Mapping):
        for name in {**before, **after}:
            yield from _find_differences(before.get(name), after.get(name), (*key, name))
    elif before != after:
        yield key


def _describe_difference(
    key: Key, before: Mapping[str, Any], after: Mapping[str, Any], overrides: Sequence[Override]
) -> str:
    old, new = _describe_value(before, key), _describe_value(after, key)
    return f"{_find_place(key, overrides)}{'.'.join(map(str, key))}: {old} in the run, now {new}"


def _describe_value(config: Mapping[str, Any], key: Key) -> str:
    known, value = _find_value(config, key)
    return repr(value) if known == key else "not set"


def _find_place(key: Key, overrides: Sequence[Override]) -> str:
    """:return: prefix that says where a value was given"""
    for override in reversed(overrides):
        size = min(len(key), len(override.key))
        if override.key[:size] == key[:size]:
            return f"{override.place}: "
    return ""
