"""Claim the directory of an earlier run to resume it, or a new directory to branch from one of its checkpoints."""

from __future__ import annotations

import logging
import shutil
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sb3_ext.building.fit import validate_engine
from sb3_ext.building.memory import validate_memory
from sb3_ext.checkpoints.bundle.bundle import Bundle, verify_bundle
from sb3_ext.checkpoints.model_source import find_target
from sb3_ext.checkpoints.state.captured_state import CapturedState
from sb3_ext.checkpoints.store.checkpoint_store import CheckpointStore
from sb3_ext.config import Override, RunConfig, dump_config, load_config
from sb3_ext.errors import CheckpointError, ConfigError, RunError
from sb3_ext.runs.paths import RunPaths
from sb3_ext.runs.run import Run
from sb3_ext.runs.run_registry import find_run_of
from sb3_ext.runs.session import RunSession
from sb3_ext.tracking.delivery_states import branch_states
from sb3_ext.training.resumed_config import Restatement, load_resumed_config
from sb3_ext.training.start import (
    RunStart,
    choose_checkpoint_place,
    describe_run,
    name_run_directory,
    parse_overrides,
    place_checkpoints,
)

logger = logging.getLogger(__name__)

BRANCHED_FROM = "branched_from"
"""Key in ``meta.json``: the checkpoint of another run from which this run branched."""


_BOUND_FLAGS = {"total_episodes": "--episodes", "duration": "--duration"}


class AlreadyCompleted(Exception):
    """
    The run has completed; nothing is left to do.

    :param run: the run
    """

    def __init__(self, run: Run) -> None:
        self.run = run
        reason = run.record.stop_reason
        flag = _BOUND_FLAGS.get(reason or "", "--total-steps")
        super().__init__(f"{run.paths.root}: has completed ({reason}); extend it with {flag}")


@dataclass(frozen=True)
class ResumePoint:
    """
    The run and the checkpoint to resume from.

    :param run: the run
    :param bundle: the verified checkpoint; ``None`` if the run has none yet
    :param is_newest: whether it is the latest checkpoint
    :param is_chosen: whether the user named a checkpoint, not a run
    """

    run: Run
    bundle: Bundle | None
    is_newest: bool
    is_chosen: bool


def find_resume_point(target: str | Path) -> ResumePoint:
    """
    Find the run and the checkpoint that a user names.

    :param target: a run directory, the name of a run below ``runs``, or a checkpoint of a run
    :return: the run and the checkpoint
    :raises RunError: if it is neither
    :raises CheckpointError: if the checkpoint is damaged
    """
    found = find_target(target)
    run = found.run
    if run is None:
        raise RunError(f"{target}: belongs to no run that could go on; to begin one from its weights: --init-from")
    if found.checkpoint is not None:
        bundle = verify_bundle(found.checkpoint)
        latest = CheckpointStore(found.checkpoint.parent).find_latest()
        return ResumePoint(run, bundle, latest is not None and latest.step == bundle.step, True)
    return ResumePoint(run, CheckpointStore(run.paths.checkpoints).find_latest() or _find_origin(run), True, False)


def _find_origin(run: Run) -> Bundle | None:
    """Where a branch that has no checkpoint of its own yet branched off."""
    origin = run.meta.get(BRANCHED_FROM)
    if origin is None:
        return None
    path = Path(origin)
    try:
        return verify_bundle(path.resolve())
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
    checkpoint_dir: Path | None = None,
    rewind: bool = False,
    mock: bool = False,
    command: str | None = None,
) -> RunStart:
    """
    Claim a run's directory to resume it with its own bounds or new ones.

    Values equal to the run's are not changes, so the same command line resumes the same run.

    :param target: a run directory, the name of a run below ``runs``, or a checkpoint of a run
    :param overrides: for keys that past steps do not depend on: bounds, evaluation, logging
    :param config: a configuration; its differences from the run's original configuration act like ``overrides``
    :param run_dir: another directory than the run's: branch into a new run there
    :param checkpoint_dir: directory for the checkpoints of a new run; for a resumed run, the existing one
    :param rewind: rewind to an older checkpoint in place, and move newer ones away; otherwise an older
        checkpoint branches into a new run
    :param mock: whether the run was started with a mock environment
    :param command: how this was started, for ``resumes.jsonl``
    :return: the argument of :func:`~sb3_ext.training.loop.train_run`
    :raises AlreadyCompleted: if nothing is left to do
    :raises ConfigError: if an override or the configuration would change what past steps depend on
    :raises MissingExtraError: if a tracker needs an extra that is not installed
    :raises RunError: if the target is not a run, another process owns it, or the arguments contradict each other
    """
    point = find_resume_point(target)
    root = point.run.paths.root
    goes_elsewhere = run_dir is not None and Path(run_dir).resolve() != root.resolve()
    if rewind and not point.is_chosen:
        raise RunError(f"{target}: --rewind needs a checkpoint to go back to: --resume {root}/checkpoints/NAME")
    if rewind and goes_elsewhere:
        raise RunError(f"{run_dir}: --rewind resumes in place, not in another --run-dir; leave out --rewind to branch")
    parsed = parse_overrides(overrides)
    resumed, changes = load_resumed_config(point.run, Restatement(config, parsed, mock), point.bundle)
    is_branching = goes_elsewhere or not (point.is_newest or rewind)
    if not is_branching:
        _check_checkpoint_dir(point.run, checkpoint_dir)
    if point.is_newest and _is_done(point.run, resumed):
        raise AlreadyCompleted(point.run)
    validate_memory(resumed)
    validate_engine(resumed)
    if changes:
        logger.info("changed from now on: %s", ", ".join(changes))
    if is_branching:
        start = _branch(point, resumed, run_dir, command)
        if checkpoint_dir is not None:
            place_checkpoints(start.session, checkpoint_dir)
        return start
    entry = {
        "checkpoint": None if point.bundle is None else point.bundle.path.name,
        "command": command,
        "overrides": {".".join(map(str, override.key)): override.value for override in parsed},
    }
    rewound_state = None if point.bundle is None or point.is_newest else point.bundle.read_state()
    session = RunSession.resume(root, entry=entry, rewinds=rewound_state is not None)
    if checkpoint_dir is not None and not session.paths.checkpoints.exists():  # the run was killed at its start
        place_checkpoints(session, checkpoint_dir)
    with session.preparing():
        _prepare_directory(session, point.bundle, rewound_state)
    return RunStart(resumed, session, point.bundle)


def _prepare_directory(session: RunSession, bundle: Bundle | None, rewound_state: CapturedState | None) -> None:
    """Prepare the run directory for a resume: move newer checkpoints away, copy or remove records."""
    if bundle is None:
        session.paths.evaluations.unlink(missing_ok=True)  # the run has no checkpoint and starts again
        shutil.rmtree(session.paths.other_evaluations, ignore_errors=True)
        shutil.rmtree(session.paths.opponents, ignore_errors=True)
        return
    if rewound_state is not None:
        CheckpointStore(session.paths.checkpoints).set_aside_newer(bundle.step)
        session.status.rewind(rewound_state.values["algorithm"]["elapsed_seconds"])
    source = find_run_of(bundle.path)
    if source is not None and not source.paths.root.samefile(session.paths.root):
        # A branch may have been killed before it had copied them.
        _copy_records(source.paths, session.paths, bundle.step)


def _branch(point: ResumePoint, config: RunConfig, run_dir: str | Path | None, command: str | None) -> RunStart:
    """Start a new run with copies of the records; the resume removes entries after the checkpoint."""
    source = point.run.paths
    if point.bundle is None:
        raise RunError(f"{source.root}: has no checkpoint to branch from")
    session = RunSession.create(
        name_run_directory(config, source.root) if run_dir is None else Path(run_dir),
        config_text=point.run.config_text,
        resolved_config_text=dump_config(config),
        meta={**describe_run(config, command), BRANCHED_FROM: str(point.bundle.path.resolve())},
    )
    with session.preparing():
        _copy_records(source, session.paths, point.bundle.step)
    return RunStart(config, session, point.bundle)


def _check_checkpoint_dir(run: Run, checkpoint_dir: Path | None) -> None:
    if checkpoint_dir is None or not run.paths.checkpoints.exists():
        return
    place, found = choose_checkpoint_place(run.paths, checkpoint_dir), run.paths.checkpoints
    if place.resolve() != found.resolve():
        raise RunError(
            f"--checkpoint-dir {checkpoint_dir}: the checkpoints of {run.paths.root} are in {found.resolve()}, and "
            "--resume leaves them there; leave out --checkpoint-dir, or begin another run with --run-dir"
        )


def _copy_records(source: RunPaths, target: RunPaths, step: int) -> None:
    if source.monitor.exists():
        shutil.copytree(source.monitor, target.monitor, dirs_exist_ok=True)
    if source.opponents.exists():
        shutil.copytree(source.opponents, target.opponents, dirs_exist_ok=True)
    if source.evaluations.exists():
        shutil.copy2(source.evaluations, target.evaluations)
    if source.other_evaluations.exists():
        shutil.copytree(source.other_evaluations, target.other_evaluations, dirs_exist_ok=True)
    if source.tracking_journal.exists() and not target.tracking_journal.exists():
        target.tracking_journal.parent.mkdir(exist_ok=True)
        branch_states(source.tracking_states, target.tracking_states, step)
        shutil.copy2(source.tracking_journal, target.tracking_journal)


def _is_done(run: Run, config: RunConfig) -> bool:
    """Whether the run has completed and the bounds leave nothing to do."""
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
            f"train.total_steps: {total_steps} is not beyond step {record.step}, which the run has reached"
        )
    total_episodes = config.train.total_episodes
    if total_episodes is not None and total_episodes <= record.episode:
        raise ConfigError(
            f"train.total_episodes: {total_episodes} is not beyond episode {record.episode}, which the run has "
            "reached; extend it with --episodes"
        )
    return False
