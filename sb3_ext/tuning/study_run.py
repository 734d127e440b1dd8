"""Tune a configuration: the composition root of a study."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterable, Mapping
from contextlib import closing
from pathlib import Path
from typing import Any

import optuna

from sb3_ext.config import Override
from sb3_ext.launching.launcher import Launcher
from sb3_ext.launching.launcher_registry import LOCAL, load_launcher_class, opening_launcher
from sb3_ext.launching.local_launcher import LocalLauncher
from sb3_ext.runs.directory_kind import STUDY_LOG
from sb3_ext.runs.log import TrainingLog
from sb3_ext.runs.signals import SignalWatch
from sb3_ext.tuning.failures import FailureWatch
from sb3_ext.tuning.outlook import describe_outlook
from sb3_ext.tuning.plan import TuningPlan, make_plan
from sb3_ext.tuning.plots import draw_plots
from sb3_ext.tuning.results import write_best, write_table
from sb3_ext.tuning.study import TuningStudy, open_study
from sb3_ext.tuning.study_progress import Progress, measure_progress
from sb3_ext.tuning.study_tracking import tracking_study
from sb3_ext.tuning.study_workers import StudyWorkers
from sb3_ext.tuning.worker import work

logger = logging.getLogger(__name__)

Watcher = Callable[[TuningStudy, Progress], None]

_POLL_SECONDS = 0.5
_END_SECONDS = 60.0


def tune(
    config: str | Path | Mapping[str, Any],
    *,
    trials: int | None = None,
    jobs: int | None = None,
    overrides: Iterable[str | Override] = (),
    study_dir: str | Path | None = None,
    in_process: bool = False,
    launcher: str = LOCAL,
    launcher_options: Mapping[str, Any] | None = None,
) -> optuna.Study:
    """
    Search for the best values of a configuration's keys, as its section ``tune`` defines, or continue that search.

    :param config: a YAML file, the name of a shipped one, or plain data
    :param trials: how many in all; the configuration's when left out
    :param jobs: worker processes; the configuration's when left out
    :param overrides: ``KEY=VALUE`` texts, as for ``--set``
    :param study_dir: where the trials' run directories and the results go; ``runs/<study>`` when left out
    :param in_process: run the trials here, one after the other, and not in worker processes: needed for environments
        that are registered in this program only
    :param launcher: where worker processes run: ``local``, ``slurm``, ``ray`` or ``module:Name``
    :param launcher_options: options of the launcher, such as ``{"partition": "gpu"}``
    :return: Optuna's study, with ``best_params``, ``best_trial``, ``trials`` and so on
    :raises ConfigError: if the configuration cannot be used
    :raises LaunchError: if the launcher cannot be used
    :raises TuningError: if the study cannot be opened, or has given up after too many failures in a row
    :raises ValueError: if both ``in_process`` and another launcher are given
    """
    if in_process and launcher != LOCAL:
        raise ValueError(f"in_process runs the trials here, but launcher is {launcher!r}; give one of them")
    given = [("trials", trials), ("jobs", jobs)]
    own = [Override(("tune", name), value, f"{name}=") for name, value in given if value is not None]
    found = load_launcher_class(launcher)
    plan = make_plan(config, [*overrides, *own], directory=study_dir, is_distributed=found.is_distributed)
    with opening_launcher(found, launcher_options or {}, plan.directory.absolute(), plan.settings.jobs) as started:
        study = open_study(plan)
        run_study(study, started, in_process=in_process)
    return study.study


def run_study(
    study: TuningStudy, launcher: Launcher | None = None, *, in_process: bool = False, watch: Watcher | None = None
) -> str | None:
    """
    Run a study's trials until it is complete, its timeout is reached, or a signal comes; then write the results.

    :param study: the study
    :param launcher: starts the worker processes; by default as many as ``tune.jobs`` on this machine
    :param in_process: run the trials here, one after the other, and not in worker processes
    :param watch: called now and then, from this thread, with how the study stands; in worker mode only
    :return: the name of the signal that ended it; ``None`` if nothing but the study itself did
    :raises TuningError: if the study has given up after too many failures in a row, or workers cannot run
    """
    plan = study.plan
    plan.directory.mkdir(parents=True, exist_ok=True)
    with closing(TrainingLog(plan.directory / STUDY_LOG)), SignalWatch() as signals:
        results = _Results(study)
        if not study.is_complete():
            ended = sum(trial.state.is_finished() for trial in study.list_trials())
            for line in describe_outlook(plan, ended):
                logger.info("%s", line)
        try:
            with tracking_study(study):
                if in_process:
                    _run_here(study, signals, results)
                else:
                    launcher = launcher or LocalLauncher(plan.directory, plan.settings.jobs)
                    _run_workers(study, launcher, signals, results, watch)
        finally:
            results.write(last=True, hurried=signals.received is not None)
    return signals.received


class _Results:
    """Keeps the study's files up to date, as often as a trial ends."""

    def __init__(self, study: TuningStudy) -> None:
        self._study = study
        self._ended = -1

    def write(self, *, last: bool = False, hurried: bool = False) -> None:
        ended = sum(trial.state.is_finished() for trial in self._study.list_trials())
        if ended != self._ended or last:
            self._ended = ended
            write_table(self._study)
            write_best(self._study)
        if last and not hurried:
            draw_plots(self._study)


def _run_here(study: TuningStudy, signals: SignalWatch, results: _Results) -> None:
    failures = FailureWatch(study.plan.settings.max_failures_in_a_row, study.list_trials())
    deadline = _compute_deadline(study.plan)

    def is_over() -> bool:
        failures.check(study.list_trials())
        results.write()
        return time.monotonic() >= deadline

    work(study, signals, is_over=is_over)
    failures.check(study.list_trials())


def _run_workers(
    study: TuningStudy, launcher: Launcher, signals: SignalWatch, results: _Results, watch: Watcher | None
) -> None:
    plan = study.plan
    failures = FailureWatch(plan.settings.max_failures_in_a_row, study.list_trials())
    ended_before = sum(trial.state.is_finished() for trial in study.list_trials())
    began_at, deadline = time.monotonic(), _compute_deadline(plan)
    if study.is_complete():
        return
    workers = StudyWorkers(plan, launcher)
    try:
        while workers.check() and signals.received is None and time.monotonic() < deadline:
            failures.check(study.list_trials())
            results.write()
            if watch is not None:
                watch(study, measure_progress(study, ended_before, time.monotonic() - began_at))
            time.sleep(_POLL_SECONDS)
        if time.monotonic() >= deadline:
            logger.info("tune.timeout is reached; unfinished trials continue next time")
    finally:
        workers.end(_END_SECONDS)
    if signals.received is None:
        failures.check(study.list_trials())


def _compute_deadline(plan: TuningPlan) -> float:
    seconds = plan.settings.timeout_seconds
    return float("inf") if seconds is None else time.monotonic() + seconds
