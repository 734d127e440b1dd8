"""A study on a terminal."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

import click
from optuna.trial import FrozenTrial
from rich.console import Console
from rich.live import Live
from rich.text import Text

from sb3_ext.cli.curve import draw_bar, style_bar
from sb3_ext.cli.tables import Column, bold, dim, format_table, pack
from sb3_ext.errors import RunError
from sb3_ext.formatting import format_duration, shorten_names
from sb3_ext.runs.run import Run
from sb3_ext.runs.status import RunStatus
from sb3_ext.tuning.space import shorten_key
from sb3_ext.tuning.study import DIRECTORY, TuningStudy, find_run_directories
from sb3_ext.tuning.study_progress import Progress
from sb3_ext.tuning.trial_run import VALUES

_VALUE_WIDTH = 16


class StudyView:
    """
    Shows the progress of a study: live in a terminal; elsewhere one line each time that a trial ends.

    :param quiet: show nothing
    """

    def __init__(self, *, quiet: bool = False) -> None:
        self._is_quiet = quiet
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
        :param progress: its progress
        """
        if self._is_quiet:
            return
        if self._live is not None:
            lines = _draw(study, progress, self._live.console.width)
            self._live.update(Text.from_ansi("\n".join(lines), no_wrap=True), refresh=True)
        elif progress.ended != self._ended:
            self._ended = progress.ended
            click.echo(_format_line(study, progress), err=True)


def format_trials(study: TuningStudy, trials: Sequence[FrozenTrial], width: int | None) -> list[str]:
    """
    :param study: the study
    :param trials: complete ones, best first
    :param width: of the terminal; ``None`` for no limit
    :return: their values and what was tried, a line each
    """
    keys = list(dict.fromkeys(key for trial in trials for key in trial.user_attrs.get(VALUES, {})))
    columns = [Column(name, align=">") for name in ("trial", *study.plan.settings.objective)]
    columns += [
        Column(shorten_key(key), priority=place, min_width=_VALUE_WIDTH) for place, key in enumerate(keys, start=1)
    ]
    rows = []
    for trial in trials:
        values = trial.user_attrs.get(VALUES, {})
        numbers = [f"{value:.5g}" for value in trial.values]
        rows.append((str(trial.number), *numbers, *(_format_value(values.get(key)) for key in keys)))
    return format_table(columns, rows, width)


def _draw(study: TuningStudy, progress: Progress, width: int) -> list[str]:
    head = [
        Column(min_width=12, shorten=shorten_names, style=bold),
        Column(priority=1, style=style_bar),
        Column(),
    ]
    bar_width = max(14, width // 8)
    bar = draw_bar(progress.ended, progress.trials, bar_width)
    lines = format_table(head, [(study.plan.name, bar, _format_counts(progress))], width)
    lines += [dim(line) for line in pack(_list_facts(study, progress), width)]
    rows = [(f"trial {trial.number}", *_describe_run(trial, bar_width)) for trial in progress.running]
    columns = [Column(), Column(style=style_bar), Column(priority=2, style=dim), Column(priority=1, style=dim)]
    return [*lines, *format_table(columns, rows, width, indent=2)]


def _describe_run(trial: FrozenTrial, bar_width: int) -> tuple[str, str, str]:
    """:return: how far it is, its phase, its latest evaluation"""
    record = _find_record(trial)
    if record is None:
        return "", "starting", ""
    bar = f"{record.step:,} steps" if record.share is None else draw_bar(record.share, 1, bar_width)
    last = trial.intermediate_values.get(trial.last_step) if trial.last_step is not None else None
    return bar, record.phase, "" if last is None else f"evaluation {last:.5g}"


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


def _list_facts(study: TuningStudy, progress: Progress) -> list[str]:
    parts = []
    if progress.best is not None:
        names = zip(study.plan.settings.objective, progress.best.values, strict=True)
        values = ", ".join(f"{name} {value:.5g}" for name, value in names)
        parts.append(f"best so far: {values} (trial {progress.best.number})")
    if progress.eta_seconds is not None and progress.ended < progress.trials:
        parts.append(f"about {format_duration(progress.eta_seconds)} left")
    return parts


def _format_line(study: TuningStudy, progress: Progress) -> str:
    return "  ".join([_format_counts(progress), *_list_facts(study, progress)])


def _format_value(value: Any) -> str:
    if value is None:
        return ""
    return f"{value:.4g}" if isinstance(value, float) else str(value)
