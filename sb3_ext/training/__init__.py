"""Train, resume and open runs."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from sb3_ext.agents.trained_run import TrainedRun
from sb3_ext.config import Override
from sb3_ext.runs.run_registry import find_run
from sb3_ext.training.loop import UserCallback, train_run
from sb3_ext.training.resuming import AlreadyCompleted, resume_run
from sb3_ext.training.start import start_run

__all__ = ["load_run", "resume", "train"]


def train(
    config: str | Path | Mapping[str, Any] | None = None,
    *,
    run_dir: str | Path | None = None,
    overrides: Iterable[str | Override] = (),
    command: str | None = None,
    callback: UserCallback | Sequence[UserCallback] = (),
) -> TrainedRun:
    """
    Train from a configuration, in a new run directory.

    :param config: a YAML file, the name of a shipped one, plain data, or ``None`` for overrides alone
    :param run_dir: must not exist, or be empty; ``runs/<config stem>_<UTC time>`` when left out
    :param overrides: ``KEY=VALUE`` texts, as for ``--set``
    :param command: how the run was started, for ``meta.json``
    :param callback: SB3 callbacks, or functions of one dict (see :class:`~sb3_ext.callbacks.FunctionCallback`)
    :return: the run, ended: its status says how
    :raises ConfigError: if the configuration cannot be used; no directory is left behind
    :raises RunError: if the run directory exists already or cannot be written
    """
    run = train_run(start_run(config, run_dir, overrides, command=command), callback)
    return TrainedRun(run.paths.root)


def resume(
    target: str | Path,
    *,
    overrides: Iterable[str | Override] = (),
    rewind: bool = False,
    command: str | None = None,
    callback: UserCallback | Sequence[UserCallback] = (),
) -> TrainedRun:
    """
    Resume a stopped or killed run exactly, in its own directory.

    :param target: a run directory, the name of a run below ``runs``, or a checkpoint of a run
    :param overrides: ``KEY=VALUE`` texts for keys that past steps do not depend on: bounds, evaluation, logging
    :param rewind: rewind to an older checkpoint in place; otherwise an older checkpoint branches into a new run
    :param command: how this was started, for ``resumes.jsonl``
    :param callback: as for :func:`train`
    :return: the run, ended; a completed run is returned unchanged
    :raises ConfigError: if an override would change what past steps depend on
    :raises RunError: if the target is not a run, or another process owns it
    """
    try:
        start = resume_run(target, overrides, rewind=rewind, command=command)
    except AlreadyCompleted as completed:
        return TrainedRun(completed.run.paths.root)
    return TrainedRun(train_run(start, callback).paths.root)


def load_run(run: str | Path) -> TrainedRun:
    """
    Open a run that is running or has ended.

    :param run: a run directory, or the name of a run below ``runs``
    :return: the run: ``.status``, ``.metrics``, ``.best.load()``, ``.evaluate()`` and more
    :raises RunError: if there is no such run
    """
    return TrainedRun(find_run(str(run)).paths.root)
