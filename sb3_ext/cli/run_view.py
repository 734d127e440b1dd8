"""Runs on a terminal, drawn again and again."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.padding import Padding
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from sb3_ext.cli.curve import average_bins, draw_curve, draw_sparkline
from sb3_ext.cli.run_lines import STATUS_COLOURS, format_rating
from sb3_ext.errors import RunError
from sb3_ext.formatting import format_duration
from sb3_ext.runs.episodes import EpisodeReturns
from sb3_ext.runs.run import LIVE_STATUSES, Run
from sb3_ext.runs.status import RunStatus

_REFRESH_SECONDS = 1.0
_CURVE_HEIGHT = 6
_CURVE_WIDTH = 60
_SPARKLINE_WIDTH = 16
_BAR_WIDTH = 30
_SMALL_BAR_WIDTH = 14
_SHARE_WIDTH = len("100.0%")
_RETURN_WIDTH = len("return 1234.56")


def watch_run(run: Run) -> None:
    """
    Show one run until it ends.

    :param run: the run
    """
    returns = EpisodeReturns(run.paths.monitor)

    def draw() -> tuple[RenderableType, bool]:
        record = run.record
        return _draw_run(run.name, record, returns.read()), record.status in LIVE_STATUSES

    _show(draw)


def watch_runs(root: Path, find_runs: Callable[[], list[Run]]) -> None:
    """
    Show the runs that are alive, or were while this looked, until somebody interrupts.

    :param root: where they are, for the words
    :param find_runs: finds all runs there
    """
    seen: dict[Path, EpisodeReturns] = {}

    def draw() -> tuple[RenderableType, bool]:
        parts: list[RenderableType] = []
        for run in find_runs():
            try:
                record = run.record
            except RunError:  # `runs list` says so
                continue
            path = run.paths.root
            if record.status in LIVE_STATUSES:
                seen.setdefault(path, EpisodeReturns(run.paths.monitor))
            if path in seen:
                parts += [_draw_title(run.name, record), _draw_summary(record, seen[path].read())]
        return Group(*parts) if parts else Text(f"No run is running in {root}.", style="dim"), True

    _show(draw)


def _show(draw: Callable[[], tuple[RenderableType, bool]]) -> None:
    """:param draw: gives what there is to see now, and whether there will be more"""
    console = Console(highlight=False)
    picture, goes_on = draw()
    if not console.is_terminal:
        console.print(picture)
        return
    with Live(picture, console=console, auto_refresh=False) as live:
        while goes_on:
            time.sleep(_REFRESH_SECONDS)
            picture, goes_on = draw()
            live.update(picture, refresh=True)


def _draw_run(name: str, record: RunStatus, returns: list[float]) -> RenderableType:
    parts: list[RenderableType] = [_draw_title(name, record), _draw_progress(record), _draw_facts(record)]
    if returns:
        parts += [Text(), _draw_returns(returns)]
    return Group(*parts)


def _draw_title(name: str, record: RunStatus) -> Text:
    about = record.phase if record.status in LIVE_STATUSES else record.stop_reason or ""
    status = (record.status, STATUS_COLOURS.get(record.status, ""))
    return Text.assemble((name, "bold"), "  ", status, "  ", (about, "dim"))


def _draw_bar(record: RunStatus, width: int) -> RenderableType:
    if not record.total_steps:
        return Text(f"{record.step:,} steps")
    return ProgressBar(record.total_steps, record.step, width, complete_style="green", finished_style="green")


def _format_share(record: RunStatus) -> str:
    return f"{record.step / record.total_steps:.1%}" if record.total_steps else ""


def _draw_progress(record: RunStatus) -> RenderableType:
    table = Table.grid(padding=(0, 2))
    steps = f"{record.step:,} of {record.total_steps:,} steps" if record.total_steps else ""
    table.add_row(_draw_bar(record, _BAR_WIDTH), _format_share(record), steps)
    return table


def _draw_summary(record: RunStatus, returns: list[float]) -> RenderableType:
    """Columns of fixed widths: below each other, those of several runs are aligned."""
    table = Table.grid(padding=(0, 2))
    for width in (_SMALL_BAR_WIDTH, _SHARE_WIDTH, _RETURN_WIDTH, _SPARKLINE_WIDTH, None):
        table.add_column(min_width=width, no_wrap=True, overflow="crop")
    mean = "" if record.episode_return_mean is None else f"return {record.episode_return_mean:,.2f}"
    curve = Text(draw_sparkline(average_bins(returns, _SPARKLINE_WIDTH)) if returns else "", "cyan")
    left = _format_left(record)
    table.add_row(_draw_bar(record, _SMALL_BAR_WIDTH), _format_share(record), mean, curve, left and f"{left} left")
    return Padding(table, (0, 0, 0, 2))


def _draw_facts(record: RunStatus) -> RenderableType:
    facts = [
        ("elapsed", format_duration(record.elapsed_seconds)),
        ("left", _format_left(record)),
        ("steps/s", None if record.fps is None else f"{record.fps:,.0f}"),
        ("episodes", f"{record.episode:,}"),
        ("ε", None if record.epsilon is None else f"{record.epsilon:.4f}"),
        ("return", None if record.episode_return_mean is None else f"{record.episode_return_mean:,.2f}"),
        ("best evaluation", None if record.best_evaluation is None else f"{record.best_evaluation:,.2f}"),
        ("rating", format_rating(record)),
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


def _format_left(record: RunStatus) -> str | None:
    if record.eta_seconds is None or record.status not in LIVE_STATUSES:
        return None
    return format_duration(record.eta_seconds)
