"""Runs side by side: speed, resources, and returns after as many steps and after as much time."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import yaml

from sb3_ext.errors import RunError
from sb3_ext.reports.automatic_choices import find_automatic_choices
from sb3_ext.reports.evaluations import read_evaluations
from sb3_ext.reports.series import Series
from sb3_ext.runs.run import Run, Stretch
from sb3_ext.runs.status import RunStatus

WINDOW_EPISODES = 100
"""How many of the latest episodes a return is the mean of, at most."""


@dataclass(frozen=True)
class ComparedRun:
    """
    What is known of a run.

    :param name: the run's
    :param record: its status
    :param config: every value that it really had
    :param meta: the content of its ``meta.json``
    :param metrics: that of its ``metrics.json``
    :param benchmark: that of its ``benchmark_metrics.json``; empty if it has none
    :param evaluations: the lines of its ``evaluations.jsonl``
    :param stretches: when a process worked on it
    :param automatic: section and key of the settings that it chose itself at its start
    """

    name: str
    record: RunStatus
    config: Mapping[str, Any]
    meta: Mapping[str, Any]
    metrics: Mapping[str, Any]
    benchmark: Mapping[str, Any]
    evaluations: Sequence[Mapping[str, Any]] = ()
    stretches: Sequence[Stretch] = ()
    automatic: frozenset[tuple[str, str]] = frozenset()

    @classmethod
    def read(cls, run: Run, *, name: str | None = None) -> ComparedRun:
        """
        :param run: its directory
        :param name: what to call it; by default the directory's last part
        :return: what is known of it
        :raises RunError: if it has no metrics, or something of it cannot be read
        """
        metrics = run.metrics
        if not metrics:
            raise RunError(f"{run.paths.root}: has written no metrics.json yet; it comes with the first checkpoint")
        if not {"summary", "episodes"} <= metrics.keys():
            raise RunError(f"{run.paths.metrics}: corrupt: expected the sections summary and episodes")
        try:
            config = yaml.safe_load(run.paths.resolved_config.read_text())
        except (OSError, yaml.YAMLError) as error:
            raise RunError(f"{run.paths.resolved_config}: cannot be read: {error}") from error
        if not isinstance(config, dict) or not isinstance(config.get("agent"), dict):
            raise RunError(f"{run.paths.resolved_config}: corrupt: expected a configuration with the section agent")
        evaluations = read_evaluations(run.paths.evaluations)
        record = run.record
        title = record.title(name or run.name)
        automatic = find_automatic_choices(run)
        return cls(title, record, config, run.meta, metrics, run.benchmark, evaluations, run.stretches, automatic)

    @property
    def step(self) -> int:
        """Where training stands, as its metrics know it."""
        return int(self.metrics["summary"]["step"])

    @property
    def training_seconds(self) -> float:
        """How long training has lasted, without the start of each session, as its metrics know it."""
        return float(self.metrics["summary"]["elapsed_seconds"])

    def find_return(self, field: str, limit: float) -> float | None:
        """
        :param field: ``step`` or ``elapsed_seconds``
        :param limit: of that
        :return: the mean of the last 100 episodes that had ended at that point; ``None`` if none had
        """
        episodes = self.metrics["episodes"]
        returns = Series.read(episodes[field], episodes["return"])
        until = returns.y[returns.x <= limit][-WINDOW_EPISODES:]
        return float(np.mean(until)) if len(until) else None


@dataclass(frozen=True)
class RunFigures:
    """
    The figures of one run; ``None`` where they are not known.

    :param name: the run's
    :param status: how it stands
    :param environments: how many, and where they are stepped
    :param duration_seconds: of all its sessions together, start and evaluations included
    :param training_seconds: how much of that was training, as bounds and benchmarks count it
    :param steps: environment transitions
    :param fps: steps per second; see :attr:`Comparison.is_fps_overall`
    :param fps_p10: not exceeded in 10 % of the time
    :param fps_p90: not exceeded in 90 % of the time
    :param speed_up: ``fps`` by that of the first run
    :param iteration_seconds: of a rollout with its update, on average
    :param collecting_share: of the time
    :param updating_share: of the time
    :param memory_peak_bytes: of all its processes
    :param memory_mean_bytes: of all its processes
    :param cores_used: by all its processes, on average
    :param episodes: finished
    :param return_at_steps: after :attr:`Comparison.common_steps`
    :param return_at_time: after :attr:`Comparison.common_seconds`
    :param best_evaluation: the best mean return of an evaluation
    """

    name: str
    status: str
    environments: str
    duration_seconds: float
    training_seconds: float
    steps: int
    fps: float | None
    fps_p10: float | None
    fps_p90: float | None
    speed_up: float | None
    iteration_seconds: float | None
    collecting_share: float | None
    updating_share: float | None
    memory_peak_bytes: float | None
    memory_mean_bytes: float | None
    cores_used: float | None
    episodes: int
    return_at_steps: float | None
    return_at_time: float | None
    best_evaluation: float | None


@dataclass(frozen=True)
class Comparison:
    """
    Several runs side by side.

    :param figures: of each
    :param common_steps: as far as all of them went
    :param common_seconds: as long as all of them trained, without the start of each session
    :param is_fps_overall: whether evaluating and saving count in ``fps``: it is so where a run has no measurement
    """

    figures: tuple[RunFigures, ...]
    common_steps: int
    common_seconds: float
    is_fps_overall: bool


def compare_runs(runs: Sequence[ComparedRun]) -> Comparison:
    """
    :param runs: at least one; the first one is what the others are measured by
    :return: their figures
    """
    is_fps_overall = not all(_get(run.benchmark, "fps", "mean") for run in runs)
    common_steps = min(run.step for run in runs)
    common_seconds = min(run.training_seconds for run in runs)
    speeds = [_compute_fps(run, is_fps_overall) for run in runs]
    figures = tuple(
        _make_figures(run, fps, speeds[0], common_steps, common_seconds) for run, fps in zip(runs, speeds, strict=True)
    )
    return Comparison(figures, common_steps, common_seconds, is_fps_overall)


def _compute_fps(run: ComparedRun, is_overall: bool) -> float | None:
    fps: float | None = run.metrics["summary"]["fps"] if is_overall else _get(run.benchmark, "fps", "mean")
    return fps


def _make_figures(
    run: ComparedRun, fps: float | None, first_fps: float | None, common_steps: int, common_seconds: float
) -> RunFigures:
    measured = run.benchmark
    return RunFigures(
        name=run.name,
        status=run.record.status,
        environments=_describe_environments(run.config.get("parallel")),
        duration_seconds=run.record.elapsed_seconds,
        training_seconds=run.training_seconds,
        steps=run.record.step,
        fps=fps,
        fps_p10=_get(measured, "fps", "p10"),
        fps_p90=_get(measured, "fps", "p90"),
        speed_up=fps / first_fps if fps and first_fps else None,
        iteration_seconds=_get(measured, "iteration_seconds"),
        collecting_share=_get(measured, "shares", "collecting"),
        updating_share=_get(measured, "shares", "updating"),
        memory_peak_bytes=_get(measured, "memory", "peak_bytes"),
        memory_mean_bytes=_get(measured, "memory", "mean_bytes"),
        cores_used=_get(measured, "cpu", "cores_used"),
        episodes=run.record.episode,
        return_at_steps=run.find_return("step", common_steps),
        return_at_time=run.find_return("elapsed_seconds", common_seconds),
        best_evaluation=run.record.best_evaluation,
    )


def _describe_environments(parallel: Any) -> str:
    mode, count = _get(parallel, "mode"), _get(parallel, "num_envs")
    if mode is None or count is None:
        return "–"
    workers = _get(parallel, "num_workers")
    return f"{count} in {workers} workers" if workers else f"{count} {mode}"


def _get(content: Any, *keys: str) -> Any:
    """Of a file of an earlier or later version, too."""
    for key in keys:
        content = content.get(key) if isinstance(content, Mapping) else None
    return content
