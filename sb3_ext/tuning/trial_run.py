"""Run one trial: create or resume a run directory for each seed, and compute the objectives at the end."""

from __future__ import annotations

import gc
import json
import logging
import math
import os
import signal
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import optuna
from optuna.trial import TrialState
from stable_baselines3.common.callbacks import BaseCallback

from sb3_ext.callbacks.stops.trial_pruning import PRUNED
from sb3_ext.config import Override
from sb3_ext.disk_errors import find_disk_error
from sb3_ext.errors import DiskError, Sb3ExtError, TuningError
from sb3_ext.file_lock import is_locked
from sb3_ext.internals.optuna import get_trial_id
from sb3_ext.runs.paths import RunPaths
from sb3_ext.runs.run import Run, is_half_created, is_run
from sb3_ext.runs.status import DISK_ERROR, NO_UPDATE
from sb3_ext.training.loop import train_run
from sb3_ext.training.resuming import AlreadyCompleted, resume_run
from sb3_ext.training.start import RunStart, start_run
from sb3_ext.tuning.objective import NothingToJudge, judge_runs
from sb3_ext.tuning.ownership import Heartbeat
from sb3_ext.tuning.plan import TuningPlan
from sb3_ext.tuning.study import (
    DIRECTORY,
    SEED_SUFFIX,
    TRIAL_PREFIX,
    Claim,
    Outcome,
    TuningStudy,
    find_run_directories,
)

logger = logging.getLogger(__name__)

_STOP_FILE = "stop file"
_NAN = "nan: a loss or a weight is not finite any more"
VALUES = "values"
"""In the storage: what a trial's parameters make of the configuration, by key."""


class TrialInterrupted(Exception):
    """A signal ended a run of the trial; the trial continues later."""


class TrialReports:
    """
    Reports evaluations of a training to the study, and asks its pruner.

    A run that resumes from a checkpoint repeats evaluations: they are reported once. A storage that cannot be reached
    for a moment does not end the training.

    :param trial: Optuna's
    :param minimize: whether less is better of the study's objective: returns are then reported negated
    """

    def __init__(self, trial: optuna.Trial, minimize: bool) -> None:
        self._trial = trial
        self._sign = -1.0 if minimize else 1.0
        self._known = set(trial.storage.get_trial(get_trial_id(trial)).intermediate_values)

    def report(self, value: float, step: int) -> None:
        """See :class:`~sb3_ext.callbacks.stops.trial_pruning.PrunableTrial`."""
        if step in self._known:
            return
        self._known.add(step)
        try:
            self._trial.report(self._sign * value, step)
        except optuna.exceptions.StorageInternalError as error:
            logger.warning("the evaluation at step %d could not be reported: %s", step, error)

    def should_prune(self) -> bool:
        """See :class:`~sb3_ext.callbacks.stops.trial_pruning.PrunableTrial`."""
        try:
            return self._trial.should_prune()
        except optuna.exceptions.StorageInternalError as error:
            logger.warning("the pruner could not be asked: %s", error)
            return False


def run_trial(study: TuningStudy, claim: Claim, callbacks: Sequence[BaseCallback] = ()) -> Outcome:
    """
    Run a trial until it is complete, pruned or failed.

    :param study: the study
    :param claim: the trial
    :param callbacks: further ones, for each of its trainings
    :return: how it ended
    :raises TrialInterrupted: if a signal ended it before that
    :raises DiskError: if its files cannot be written, for which its values are not to blame
    """
    plan = study.plan
    try:
        values = plan.space.suggest(claim.trial)
        claim.trial.set_user_attr(VALUES, values)
        runs = _run_seeds(study, claim, values, callbacks)
        if runs is None:
            return Outcome(TrialState.PRUNED)
        judged = judge_runs(plan, runs)
        if any(math.isnan(value) for value in judged):
            return Outcome(TrialState.FAIL, error=f"the objective is NaN: {judged}")
        return Outcome(TrialState.COMPLETE, judged)
    except DiskError:
        raise
    except (Sb3ExtError, NothingToJudge) as error:
        if find_disk_error(error) is not None:
            raise DiskError(str(error)) from error
        return Outcome(TrialState.FAIL, error=str(error))
    finally:
        gc.collect()  # models and environments refer to each other: free them before the next trial


def _run_seeds(
    study: TuningStudy, claim: Claim, values: dict[str, Any], callbacks: Sequence[BaseCallback]
) -> list[Run] | None:
    """:return: the runs; ``None`` if the trial was pruned, which the first of them decides"""
    plan = study.plan
    base = _choose_place(claim, plan)
    runs: list[Run] = []
    for index, seed in enumerate(plan.seeds):
        directory = base if len(plan.seeds) == 1 else base.with_name(f"{base.name}{SEED_SUFFIX}{index + 1}")
        is_judge = index == 0 and not plan.settings.has_several_objectives
        reports = TrialReports(claim.trial, plan.is_minimized[0]) if is_judge else None
        on_loss = partial(_abandon, directory)
        with Heartbeat(study.storage, get_trial_id(claim.trial), claim.mark, on_loss):
            run = _train(plan, claim.number, directory, plan.make_overrides(values, seed), reports, callbacks)
        reason = run.record.stop_reason or ""
        if reason == NO_UPDATE:
            return None  # such values are as bad as can be, but no fault of the study
        if reason == DISK_ERROR:
            raise DiskError(f"{directory}: {run.record.explanation}")
        if run.record.status == "failed":
            raise TuningError(_NAN if reason == "nan" else reason.removeprefix("error: "))
        if reason in (PRUNED, _STOP_FILE):
            return None
        if reason.startswith("signal "):
            raise TrialInterrupted(reason)
        runs.append(run)
    return runs


def _choose_place(claim: Claim, plan: TuningPlan) -> Path:
    """Where its runs are already, if that can be reached from here."""
    known = claim.trial.user_attrs.get(DIRECTORY)
    if known is not None and find_run_directories(Path(known)):
        return Path(known)
    place = plan.directory.absolute() / f"{TRIAL_PREFIX}{claim.number:04d}"
    if str(place) != known:
        claim.trial.set_user_attr(DIRECTORY, str(place))
    return place


def _train(
    plan: TuningPlan,
    number: int,
    directory: Path,
    overrides: list[Override],
    reports: TrialReports | None,
    callbacks: Sequence[BaseCallback],
) -> Run:
    if is_locked(RunPaths(directory).lock):
        raise TrialInterrupted("another process is still training it")
    try:
        start = _start(plan, number, directory, overrides)
    except AlreadyCompleted as completed:
        return completed.run
    if start is None:
        return Run(directory)
    try:
        return train_run(start, callbacks, trial=reports, draws_curves=False)
    except Sb3ExtError:
        raise
    except Exception as error:
        if not is_run(directory):
            raise TuningError(f"{type(error).__name__}: {error}") from error
        return Run(directory)  # its status says what happened


def _start(plan: TuningPlan, number: int, directory: Path, overrides: list[Override]) -> RunStart | None:
    """:return: the run, claimed; ``None`` if it was pruned already"""
    if not is_run(directory) or is_half_created(directory):
        study = {"name": plan.name, "id": plan.identity, "trial": number}
        return start_run(plan.source, directory, overrides, study=study)
    run = Run(directory)
    wanted = {".".join(map(str, override.key)): override.value for override in overrides}
    if run.meta.get("overrides") != json.loads(json.dumps(wanted)):
        raise TuningError(f"{directory}: is a run with other values, not this trial's; give the study another name")
    if run.record.stop_reason in (PRUNED, _STOP_FILE):
        return None
    return resume_run(directory)


def _abandon(directory: Path) -> None:
    """Another process has the trial: this one's training is for nothing, and ends as if it had been asked to."""
    logger.warning("%s: the heartbeat had stopped, and another process has taken over this trial", directory)
    os.kill(os.getpid(), signal.SIGTERM)
