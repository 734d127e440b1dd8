"""Runs on a terminal, drawn again and again."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from sb3_ext.cli.curve import average_bins, draw_curve, draw_sparkline
from sb3_ext.cli.run_lines import STATUS_COLOURS, format_duration
from sb3_ext.errors import RunError
from sb3_ext.runs.episodes import EpisodeReturns
from sb3_ext.runs.run import LIVE_STATUSES, Run
from sb3_ext.runs.status import RunStatus

_REFRESH_SECONDS = 1.0
_CURVE_HEIGHT = 6
_CURVE_WIDTH = 60
_SPARKLINE_WIDTH = 16
_BAR_WIDTH = 20


def watch_run(run: Run) -> None:
    """
    Show one run until it ends.

    :param run: the run
    """
    returns = EpisodeReturns(run.paths.monitor)
    is_over = False

    def draw() -> RenderableType:
        nonlocal is_over
        record = run.record
        is_over = record.status not in LIVE_STATUSES
        return _draw_run(run.name, record, returns.read())

    _show(draw, lambda: is_over)


def watch_runs(root: Path, find_runs: Callable[[], list[Run]]) -> None:
    """
    Show the runs that are alive, or were while this looked, until somebody interrupts.

    :param root: where they are, for the words
    :param find_runs: finds all runs there
    """
    seen: dict[Path, EpisodeReturns] = {}

    def draw() -> RenderableType:
        table = Table.grid(padding=(0, 2))
        for run in find_runs():
            try:
                record = run.record
            except RunError:  # `runs list` says so
                continue
            path = run.paths.root
            if record.status in LIVE_STATUSES:
                seen.setdefault(path, EpisodeReturns(run.paths.monitor))
            if path in seen:
                table.add_row(*_make_cells(run.name, record, seen[path].read()))
        return table if table.row_count else Text(f"No run is running below {root}.", style="dim")

    _show(draw, lambda: False)


def _show(draw: Callable[[], RenderableType], is_over: Callable[[], bool]) -> None:
    console = Console(highlight=False)
    if not console.is_terminal:
        console.print(draw())
        return
    with Live(draw(), console=console, auto_refresh=False) as live:
        while not is_over():
            time.sleep(_REFRESH_SECONDS)
            live.update(draw(), refresh=True)


def _draw_run(name: str, record: RunStatus, returns: list[float]) -> RenderableType:
    title = Text.assemble((name, "bold"), "  ", _draw_status(record))
    if record.status in LIVE_STATUSES:
        title.append(f"  {record.phase}", "dim")
    parts: list[RenderableType] = [title, _draw_progress(record), _draw_facts(record)]
    if record.stop_reason is not None:
        parts.append(Text(record.stop_reason))
    if returns:
        parts += [Text(), _draw_returns(returns)]
    return Group(*parts)


def _draw_status(record: RunStatus) -> Text:
    return Text(record.status, STATUS_COLOURS.get(record.status, ""))


def _draw_bar(record: RunStatus, width: int) -> RenderableType:
    if not record.total_steps:
        return Text()
    colours = {"complete_style": "green", "finished_style": "green"}
    return ProgressBar(total=record.total_steps, completed=record.step, width=width, **colours)


def _draw_progress(record: RunStatus) -> RenderableType:
    if not record.total_steps:
        return Text(f"{record.step:,} steps")
    share = f"{record.step / record.total_steps:.1%}"
    table = Table.grid(padding=(0, 2))
    table.add_row(_draw_bar(record, _CURVE_WIDTH // 2), share, f"{record.step:,} of {record.total_steps:,} steps")
    return table


def _draw_facts(record: RunStatus) -> RenderableType:
    facts = [
        ("elapsed", format_duration(record.elapsed_seconds)),
        ("left", None if record.eta_seconds is None else format_duration(record.eta_seconds)),
        ("steps/s", None if record.fps is None else f"{record.fps:,.0f}"),
        ("episodes", f"{record.episode:,}"),
        ("ε", None if record.epsilon is None else f"{record.epsilon:.4f}"),
        ("return", None if record.episode_return_mean is None else f"{record.episode_return_mean:,.2f}"),
        ("best evaluation", None if record.best_evaluation is None else f"{record.best_evaluation:,.2f}"),
    ]
    text = Text()
    for name, value in facts:
        if value is not None:
            text.append(f"{name} ", "dim").append(f"{value}   ")
    return text


def _draw_returns(returns: list[float]) -> RenderableType:
    means = average_bins(returns, 2 * _CURVE_WIDTH)
    rows = draw_curve(means, _CURVE_HEIGHT)
    labels = [f"{max(means):,.1f}", *[""] * (len(rows) - 2), f"{min(means):,.1f}"]
    table = Table.grid(padding=(0, 1))
    table.add_column(justify="right", style="dim")
    table.add_column(style="cyan", no_wrap=True, overflow="crop")
    for label, row in zip(labels, rows, strict=True):
        table.add_row(label, row)
    return Group(table, Text(f"returns of {len(returns):,} episodes", "dim"))


def _make_cells(name: str, record: RunStatus, returns: list[float]) -> list[RenderableType]:
    share = f"{record.step / record.total_steps:.1%}" if record.total_steps else ""
    mean = "" if record.episode_return_mean is None else f"{record.episode_return_mean:,.2f}"
    left = "" if record.eta_seconds is None else f"{format_duration(record.eta_seconds)} left"
    curve = Text(draw_sparkline(average_bins(returns, _SPARKLINE_WIDTH)) if returns else "", "cyan")
    return [name, _draw_status(record), _draw_bar(record, _BAR_WIDTH), share, f"{record.step:,}", mean, curve, left]
