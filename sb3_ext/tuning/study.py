"""
A study of trials, shared by several processes.

A trial is one record in Optuna's storage from beginning to end, also when several processes run it: it is waiting, then
running, waiting again when its process was interrupted or has died, and in the end complete, pruned or failed. Every
change is made under the study's exclusion, so no trial is run twice at a time, none is lost, and their number is exact.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import optuna
from optuna.trial import FrozenTrial, TrialState

from sb3_ext.errors import RunError, TuningError
from sb3_ext.internals.optuna import get_trial_id
from sb3_ext.output_file import validate_output_directory
from sb3_ext.runs.directory_kind import RUN, SWEEP, find_kind
from sb3_ext.runs.run import Run, is_run
from sb3_ext.tuning.optuna_samplers import make_pruner, make_sampler
from sb3_ext.tuning.ownership import OWNER, Vigil, describe_owner, get_claim
from sb3_ext.tuning.plan import TuningPlan
from sb3_ext.tuning.storage import OpenStorage, find_file, hide_password, open_storage

logger = logging.getLogger(__name__)

DESCRIPTION, DIRECTORY, ERROR, DEATHS = "sb3_ext", "directory", "error", "deaths"
"""Names of attributes in the storage."""

TRIAL_PREFIX, SEED_SUFFIX = "trial_", "_seed_"
_MAX_DEATHS = 10
_MAX_DIFFERENCES = 8


@dataclass(frozen=True)
class Claim:
    """
    A trial that this process runs.

    :param trial: Optuna's
    :param mark: proof that it is this process's
    """

    trial: optuna.Trial
    mark: str

    @property
    def number(self) -> int:
        """The trial's, from 0."""
        return self.trial.number


@dataclass(frozen=True)
class Outcome:
    """
    How a trial ended.

    :param state: complete, pruned or failed
    :param values: one an objective, if it is complete
    :param error: why it failed
    """

    state: TrialState
    values: Sequence[float] | None = None
    error: str | None = None


class TuningStudy:
    """
    Made by :func:`open_study`.

    :param plan: what all processes of the study agree on
    :param opened: where it is kept
    :param study: Optuna's
    """

    def __init__(self, plan: TuningPlan, opened: OpenStorage, study: optuna.Study) -> None:
        self.plan = plan
        self.study = study
        self.storage = opened.storage
        self._exclusion = opened.exclusion
        self._vigil = Vigil()

    def list_trials(self) -> list[FrozenTrial]:
        """:return: all trials, by number; not to be changed"""
        return self.study.get_trials(deepcopy=False)

    def claim_next(self) -> Claim | None:
        """
        Take a trial that waits, or a new one if there are to be more. Trials of dead processes wait again from now on.

        :return: ``None`` if there is none to take; others may still be running
        """
        with self._exclusion():
            self._requeue_abandoned()
            trials = self.list_trials()
            waiting = [trial.number for trial in trials if trial.state == TrialState.WAITING]
            if not waiting and len(trials) >= self.plan.settings.trials:
                return None
            number = min(waiting, default=len(trials))
            self.study.sampler = make_sampler(self.plan.settings, self.plan.config.seed, number)
            trial = self.study.ask()
            owner = describe_owner()
            trial.set_user_attr(OWNER, owner)
            return Claim(trial, owner["claim"])

    def put_back(self, claim: Claim) -> None:
        """
        Release a trial, so that any process continues it from its last checkpoint.

        :param claim: of this process
        """
        with self._exclusion():
            if self._is_held(claim):
                self.storage.set_trial_state_values(get_trial_id(claim.trial), state=TrialState.WAITING)

    def finish(self, claim: Claim, outcome: Outcome) -> bool:
        """
        Record how a trial ended.

        :param claim: of this process
        :param outcome: how
        :return: ``False`` if another process has taken the trial over, so that nothing is recorded
        """
        with self._exclusion():
            if not self._is_held(claim):
                logger.warning("trial %d: another process has taken it over; this result is dropped", claim.number)
                return False
            if outcome.error is not None:
                claim.trial.set_user_attr(ERROR, outcome.error)
            values = None if outcome.values is None else list(outcome.values)
            self.study.tell(claim.trial, values, state=outcome.state)
            return True

    def is_complete(self) -> bool:
        """Whether the requested number of trials has ended, and no other trial is waiting or running."""
        trials = self.list_trials()
        return len(trials) >= self.plan.settings.trials and all(trial.state.is_finished() for trial in trials)

    def _is_held(self, claim: Claim) -> bool:
        trial = self.storage.get_trial(get_trial_id(claim.trial))
        return trial.state == TrialState.RUNNING and get_claim(trial) == claim.mark

    def _requeue_abandoned(self) -> None:
        for trial in self.list_trials():
            if trial.state == TrialState.RUNNING and self._vigil.is_abandoned(trial):
                self._requeue(trial)

    def _requeue(self, trial: FrozenTrial) -> None:
        """Let a trial wait again; let it fail if its processes have died too often at the same checkpoint."""
        checkpoint = _find_last_checkpoint(trial)
        before = trial.user_attrs.get(DEATHS) or {"count": 0, "checkpoint": None}
        count = before["count"] + 1 if before["checkpoint"] == checkpoint else 1
        self.storage.set_trial_user_attr(get_trial_id(trial), DEATHS, {"count": count, "checkpoint": checkpoint})
        if count < _MAX_DEATHS:
            logger.info("trial %d: its process is gone; it continues from its last checkpoint", trial.number)
            self.storage.set_trial_state_values(get_trial_id(trial), state=TrialState.WAITING)
            return
        error = f"its process has died {count} times at the same checkpoint; is there enough memory?"
        logger.error("trial %d failed: %s", trial.number, error)
        self.storage.set_trial_user_attr(get_trial_id(trial), ERROR, error)
        self.storage.set_trial_state_values(get_trial_id(trial), state=TrialState.FAIL)


def open_study(plan: TuningPlan, *, must_exist: bool = False) -> TuningStudy:
    """
    Continue a study, or create it, with the configuration's own values as its first trial.

    :param plan: what it does
    :param must_exist: do not create it
    :return: the study
    :raises TuningError: if its storage cannot be reached, it is another study than the plan's, it does not exist, or
        its directory is that of a run or a sweep; nothing is created then
    :raises RunError: if its directory cannot be written
    """
    _validate_directory(plan)
    file = find_file(plan.storage)
    if must_exist and file is not None and not file.exists():
        raise _make_missing_error(plan)
    opened = open_storage(plan.storage, plan.name)
    with opened.exclusion():
        pruner = make_pruner(plan.config, plan.settings)
        sampler = make_sampler(plan.settings, plan.config.seed, 0)
        try:
            study = optuna.load_study(study_name=plan.name, storage=opened.storage, sampler=sampler, pruner=pruner)
        except KeyError:
            if must_exist:
                raise _make_missing_error(plan) from None
            _check_trials(plan)
            study = optuna.create_study(
                study_name=plan.name,
                storage=opened.storage,
                sampler=sampler,
                pruner=pruner,
                directions=["minimize" if is_minimized else "maximize" for is_minimized in plan.is_minimized],
            )
        _settle(plan, study)
        return TuningStudy(plan, opened, study)


def _settle(plan: TuningPlan, study: optuna.Study) -> None:
    """Write description and first trial of a new study, also if the process that created it was killed before that."""
    description = json.loads(json.dumps(plan.describe()))
    known = study.user_attrs.get(DESCRIPTION)
    trials = study.get_trials(deepcopy=False)
    if known is None:
        if trials:
            raise TuningError(
                f"the study '{plan.name}' in {hide_password(plan.storage)} was not made by sb3-ext; "
                "choose another name with --study"
            )
        study.set_user_attr(DESCRIPTION, description)
    elif known != description:
        raise TuningError(_describe_differences(plan, known, description))
    if not trials:
        study.enqueue_trial(plan.space.express(plan.config))


def _describe_differences(plan: TuningPlan, known: dict[str, Any], now: dict[str, Any]) -> str:
    missing = "nothing"
    keys = [key for key in {**known, **now} if known.get(key, missing) != now.get(key, missing)]
    lines = [f"  {key}: was {known.get(key, missing)}, is {now.get(key, missing)}" for key in keys[:_MAX_DIFFERENCES]]
    if len(keys) > _MAX_DIFFERENCES:
        lines.append(f"  … and {len(keys) - _MAX_DIFFERENCES} more")
    head = (
        f"the study '{plan.name}' was created with another configuration, and trials of both are not comparable; "
        "restore that configuration, or create another study with --study NAME:"
    )
    return "\n".join([head, *lines])


def _validate_directory(plan: TuningPlan) -> None:
    kind = find_kind(plan.directory)
    if kind in (RUN, SWEEP):
        raise TuningError(
            f"{plan.directory}: is {kind}; a study needs a directory of its own: give another --study-dir"
        )
    validate_output_directory(plan.directory)


def _make_missing_error(plan: TuningPlan) -> TuningError:
    return TuningError(
        f"there is no study '{plan.name}' in {hide_password(plan.storage)} to continue; leave out --resume to create it"
    )


def _check_trials(plan: TuningPlan) -> None:
    """Refuse a directory with trials of another study: they would be taken for trials of this one."""
    left = sorted(plan.directory.glob(f"{TRIAL_PREFIX}*"))
    if left:
        raise TuningError(
            f"{plan.directory}: found trials here, such as {left[0].name}, of a study that is not in "
            f"{hide_password(plan.storage)}; give its --storage, remove them, or choose another name with --study"
        )


def _find_last_checkpoint(trial: FrozenTrial) -> str | None:
    """:return: name and step of the newest checkpoint of a trial; ``None`` if its run is not on this machine"""
    base = trial.user_attrs.get(DIRECTORY)
    newest: str | None = None
    for directory in () if base is None else find_run_directories(Path(base)):
        try:
            newest = f"{directory.name}/{Run(directory).record.last_checkpoint}"
        except RunError:
            continue
    return newest


def find_run_directories(base: Path) -> list[Path]:
    """
    :param base: a trial's place
    :return: its run directories that exist: the place itself, or one for each seed beside it
    """
    candidates = [base, *sorted(base.parent.glob(f"{base.name}{SEED_SUFFIX}*"))]
    return [directory for directory in candidates if is_run(directory)]
