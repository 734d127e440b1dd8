"""Claim the directory of an earlier run to carry it on, or a new one to go another way from one of its checkpoints."""

from __future__ import annotations

import logging
import shutil
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sb3_ext.checkpoints.bundle import MANIFEST, Bundle
from sb3_ext.checkpoints.state_files import read_state
from sb3_ext.checkpoints.store import CheckpointStore
from sb3_ext.config import Override, RunConfig, dump_config, load_config, read_source
from sb3_ext.config.schema import CHECKPOINT_TYPE
from sb3_ext.errors import CheckpointError, ConfigError, RunError
from sb3_ext.problems import Key
from sb3_ext.runs.paths import RunPaths
from sb3_ext.runs.registry import find_run_of, resolve_run
from sb3_ext.runs.run import Run
from sb3_ext.runs.session import RunSession
from sb3_ext.training.start import RunStart, describe_run, name_run_directory, parse_overrides

logger = logging.getLogger(__name__)

_CHANGEABLE: tuple[Key, ...] = (
    ("train", "total_steps"),
    ("train", "total_episodes"),
    ("train", "duration"),
    ("train", "track_timings"),
    ("train", "log_every_episodes"),
    ("train", "status_every_steps"),
    ("parallel", "step_timeout_seconds"),
    ("parallel", "max_worker_restarts"),
    ("eval",),
    ("early_stopping",),
)
"""What a resume may change, beside checkpoints: nothing that the steps already taken depend on."""


BRANCHED_FROM = "branched_from"
"""In ``meta.json``: the checkpoint of another run from which this one goes another way."""


_DECIDED = (("parallel", "mode"), "auto")
"""What the run has found out at its start is not found out anew."""


class AlreadyCompleted(Exception):
    """
    There is nothing left to do.

    :param run: the run, which has completed
    """

    def __init__(self, run: Run) -> None:
        self.run = run
        super().__init__(f"{run.paths.root}: has completed ({run.record.stop_reason}); extend it with --total-steps")


@dataclass(frozen=True)
class ResumePoint:
    """
    Where to go on.

    :param run: the run
    :param bundle: a checkpoint of it, verified; ``None`` if there is none yet
    :param is_newest: whether it is the latest
    """

    run: Run
    bundle: Bundle | None
    is_newest: bool


def find_resume_point(target: str | Path, root: Path = Path("runs")) -> ResumePoint:
    """
    Find what a user means.

    :param target: a run directory, the name of a run below ``root``, or a checkpoint of a run
    :param root: where runs are
    :return: the run and the checkpoint
    :raises RunError: if it is neither
    :raises CheckpointError: if the checkpoint is damaged
    """
    path = Path(target)
    folder = path if path.is_dir() else path.parent
    if (folder / MANIFEST).is_file():
        run, folder = find_run_of(folder), folder.resolve()
        store = CheckpointStore(folder.parent)
        latest = store.find_latest()
        bundle = store.resolve(folder)
        if run is None:
            raise RunError(f"{target}: belongs to no run that could go on; to begin one from its weights: --init-from")
        return ResumePoint(run, bundle, latest is not None and latest.step == bundle.step)
    run = resolve_run(str(target), root)
    return ResumePoint(run, CheckpointStore(run.paths.checkpoints).find_latest() or _find_origin(run), True)


def _find_origin(run: Run) -> Bundle | None:
    """Where a branch that has no checkpoint of its own yet branched off."""
    origin = run.meta.get(BRANCHED_FROM)
    if origin is None:
        return None
    path = Path(origin)
    try:
        return CheckpointStore(path.parent).resolve(path)
    except CheckpointError as error:
        raise RunError(
            f"{run.paths.root}: branched from {path}, has no checkpoint of its own yet, and that one cannot be "
            f"used any more: {error}; branch again from another"
        ) from error


def resume_run(
    target: str | Path,
    overrides: Iterable[str | Override] = (),
    *,
    config: str | Path | Mapping[str, Any] | None = None,
    run_dir: str | Path | None = None,
    is_rewinding: bool = False,
    command: str | None = None,
) -> RunStart:
    """
    Claim a run's directory to carry it on towards its original bounds, or those given anew.

    :param target: a run directory, the name of a run below ``runs``, or a checkpoint of a run
    :param overrides: of what does not alter the past: bounds, evaluation, logging
    :param config: what the run was begun with, if it is given again; the run's own is used, and a difference is said
    :param run_dir: where another way from an older checkpoint goes, see below
    :param is_rewinding: with an older checkpoint: go back in place, and set the newer ones aside; otherwise it
        branches into a new run directory
    :param command: how this was started, for ``resumes.jsonl``
    :return: for :func:`~sb3_ext.training.loop.train_run`, at once
    :raises AlreadyCompleted: if nothing is left to do
    :raises ConfigError: if an override would alter the past
    :raises RunError: if it is no run, or another process owns it
    """
    point = find_resume_point(target)
    parsed = parse_overrides(overrides)
    _compare_config(config, point.run)
    resumed = _load_resumed_config(point.run, parsed)
    if not point.is_newest and not is_rewinding:
        return _branch(point, resumed, run_dir, command)
    if point.is_newest and _is_done(point.run, resumed):
        raise AlreadyCompleted(point.run)
    entry = {
        "checkpoint": None if point.bundle is None else point.bundle.path.name,
        "command": command,
        "overrides": {".".join(map(str, override.key)): override.value for override in parsed},
    }
    rewound_state = None if point.bundle is None or point.is_newest else read_state(point.bundle.path)
    session = RunSession.resume(point.run.paths.root, entry=entry)
    if point.bundle is not None and rewound_state is not None:
        CheckpointStore(point.run.paths.checkpoints).set_aside_newer(point.bundle.step)
        session.status.rewind(rewound_state.values["algorithm"]["elapsed_seconds"])
    if point.bundle is None:
        session.paths.evaluations.unlink(missing_ok=True)  # of a training that left no checkpoint, and begins again
        shutil.rmtree(session.paths.opponents, ignore_errors=True)
    elif (source := find_run_of(point.bundle.path)) is not None and not source.paths.root.samefile(session.paths.root):
        _copy_records(source.paths, session.paths)  # it may have been killed before it had them
    return RunStart(resumed, session, point.bundle)


def _branch(point: ResumePoint, config: RunConfig, run_dir: str | Path | None, command: str | None) -> RunStart:
    """What was recorded up to the checkpoint comes along; the resume itself cuts off what is later."""
    source = point.run.paths
    assert point.bundle is not None
    session = RunSession.create(
        name_run_directory(config, source.root) if run_dir is None else Path(run_dir),
        config_text=point.run.config_text,
        resolved_config_text=dump_config(config),
        meta={**describe_run(config, command), BRANCHED_FROM: str(point.bundle.path)},
    )
    _copy_records(source, session.paths)
    return RunStart(config, session, point.bundle)


def _copy_records(source: RunPaths, target: RunPaths) -> None:
    if source.monitor.exists():
        shutil.copytree(source.monitor, target.monitor, dirs_exist_ok=True)
    if source.opponents.exists():
        shutil.copytree(source.opponents, target.opponents, dirs_exist_ok=True)
    if source.evaluations.exists():
        shutil.copy2(source.evaluations, target.evaluations)


def _compare_config(config: str | Path | Mapping[str, Any] | None, run: Run) -> None:
    if config is None:
        return
    source = read_source(config)
    load_config(source)
    if source.text != run.config_text:
        logger.warning("%s is not what this run was begun with; the run's own configuration is used", source.place)


def _load_resumed_config(run: Run, overrides: list[Override]) -> RunConfig:
    """What is given again with the value it has is no change: the same command line carries the same run on."""
    before = load_config(run.paths.resolved_config)
    after = load_config(run.paths.resolved_config, [item for item in overrides if (item.key, item.value) != _DECIDED])
    altered = [
        ".".join(map(str, key))
        for key in _find_changes(_dump_past(before), _dump_past(after))
        if not any(key[: len(prefix)] == prefix for prefix in _CHANGEABLE)
    ]
    if altered:
        changeable = ", ".join(".".join(map(str, key)) for key in _CHANGEABLE)
        raise ConfigError(
            f"{key}: would alter what was trained already; a resume may change {changeable}, and checkpoints; for "
            "anything else start a new run, with --init-from a checkpoint of this one if you like"
            for key in altered
        )
    return after


def _dump_past(config: RunConfig) -> dict[str, Any]:
    """Checkpoints may be kept otherwise from now on."""
    dumped = config.model_dump()
    callbacks = dumped["train"]["callbacks"]
    dumped["train"]["callbacks"] = [entry for entry in callbacks if entry["type"] != CHECKPOINT_TYPE]
    return dumped


def _find_changes(before: Any, after: Any, key: Key = ()) -> Iterator[Key]:
    if isinstance(before, dict) and isinstance(after, dict):
        for name in before.keys() | after.keys():
            yield from _find_changes(before.get(name), after.get(name), (*key, name))
    elif before != after:
        yield key


def _is_done(run: Run, config: RunConfig) -> bool:
    """Whether a run that has completed would do nothing more with these bounds."""
    record = run.record
    if record.status != "completed":
        return False
    before = load_config(run.paths.resolved_config).train
    bounds = ("total_steps", "total_episodes", "duration")
    if all(getattr(before, bound) == getattr(config.train, bound) for bound in bounds):
        return True
    total_steps = config.train.total_steps
    if total_steps is not None and total_steps <= record.step:
        raise ConfigError(
            f"train.total_steps: {total_steps} is not beyond step {record.step}, where the run is already"
        )
    return False
