"""A study on a terminal."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

import click
from optuna.trial import FrozenTrial
from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from sb3_ext.errors import RunError
from sb3_ext.formatting import format_duration
from sb3_ext.runs.run import Run
from sb3_ext.runs.status import RunStatus
from sb3_ext.tuning.plots import shorten_key
from sb3_ext.tuning.progress import Progress
from sb3_ext.tuning.study import DIRECTORY, TuningStudy, find_run_directories
from sb3_ext.tuning.trial_run import VALUES

_BAR_WIDTH = 30
_MAX_COLUMNS = 8


class StudyView:
    """
    Shows how a study stands: in a terminal a picture at its bottom, elsewhere a line as often as a trial ends.

    :param is_quiet: show nothing
    """

    def __init__(self, *, is_quiet: bool = False) -> None:
        self._is_quiet = is_quiet
        self._ended: int | None = None
        console = Console(stderr=True, highlight=False)
        self._live = Live(console=console, auto_refresh=False, transient=True) if console.is_terminal else None

    def __enter__(self) -> StudyView:
        if self._live is not None and not self._is_quiet:
            self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._live is not None:
            self._live.stop()

    def show(self, study: TuningStudy, progress: Progress) -> None:
        """
        :param study: the study
        :param progress: how it stands
        """
        if self._is_quiet:
            return
        if self._live is not None:
            self._live.update(_draw(study, progress), refresh=True)
        elif progress.ended != self._ended:
            self._ended = progress.ended
            click.echo(_format_line(study, progress), err=True)


def draw_table(study: TuningStudy, trials: Sequence[FrozenTrial]) -> RenderableType:
    """
    :param study: the study
    :param trials: complete ones, best first
    :return: their values and what was tried
    """
    keys = list(dict.fromkeys(key for trial in trials for key in trial.user_attrs.get(VALUES, {})))[:_MAX_COLUMNS]
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
    for name in ("trial", *study.plan.settings.objective):
        table.add_column(name, justify="right")
    for key in keys:
        table.add_column(shorten_key(key))
    for trial in trials:
        values = trial.user_attrs.get(VALUES, {})
        numbers = [f"{value:.5g}" for value in trial.values]
        table.add_row(str(trial.number), *numbers, *(_format_value(values.get(key)) for key in keys))
    return table


def print_renderable(renderable: RenderableType) -> None:
    """:param renderable: goes to stdout, as wide as its columns where that is no terminal"""
    console = Console(file=sys.stdout, highlight=False)
    if not console.is_terminal:
        console = Console(file=sys.stdout, highlight=False, width=240)
    console.print(renderable)


def _draw(study: TuningStudy, progress: Progress) -> RenderableType:
    head = Table.grid(padding=(0, 2))
    bar = ProgressBar(progress.trials, progress.ended, _BAR_WIDTH, complete_style="green", finished_style="green")
    head.add_row(Text(study.plan.name, "bold"), bar, _format_counts(progress))
    rows = Table.grid(padding=(0, 2))
    for trial in progress.running:
        rows.add_row(f"  trial {trial.number}", *_draw_run(trial))
    return Group(head, Text(_format_facts(study, progress), "dim"), rows)


def _draw_run(trial: FrozenTrial) -> list[RenderableType]:
    record = _find_record(trial)
    if record is None:
        return [Text("starting", "dim")]
    bar: RenderableType = Text(f"{record.step:,} steps")
    if record.total_steps:
        bar = ProgressBar(record.total_steps, record.step, _BAR_WIDTH, complete_style="cyan", finished_style="cyan")
    last = trial.intermediate_values.get(trial.last_step) if trial.last_step is not None else None
    facts = [record.phase, None if last is None else f"evaluation {last:.5g}"]
    return [bar, Text("  ".join(filter(None, facts)), "dim")]


def _find_record(trial: FrozenTrial) -> RunStatus | None:
    base = trial.user_attrs.get(DIRECTORY)
    directories = [] if base is None else find_run_directories(Path(base))
    try:
        return Run(directories[-1]).record if directories else None
    except RunError:
        return None


def _format_counts(progress: Progress) -> str:
    parts = [
        f"{progress.ended}/{progress.trials} trials",
        f"{len(progress.running)} running",
        f"{progress.pruned} pruned",
        f"{progress.failed} failed" if progress.failed else "",
        f"{progress.waiting} waiting" if progress.waiting else "",
    ]
    return ", ".join(filter(None, parts))


def _format_facts(study: TuningStudy, progress: Progress) -> str:
    parts = []
    if progress.best is not None:
        names = zip(study.plan.settings.objective, progress.best.values, strict=True)
        values = ", ".join(f"{name} {value:.5g}" for name, value in names)
        parts.append(f"best so far: {values} (trial {progress.best.number})")
    if progress.eta_seconds is not None and progress.ended < progress.trials:
        parts.append(f"about {format_duration(progress.eta_seconds)} left")
    return "  ".join(parts)


def _format_line(study: TuningStudy, progress: Progress) -> str:
    return "  ".join(filter(None, [_format_counts(progress), _format_facts(study, progress)]))


def _format_value(value: Any) -> str:
    if value is None:
        return ""
    return f"{value:.4g}" if isinstance(value, float) else str(value)
