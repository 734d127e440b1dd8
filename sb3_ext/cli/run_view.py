"""Runs on a terminal, drawn again and again."""

from __future__ import annotations

import time
from collections.abc import Callable
from itertools import chain
from pathlib import Path

import click
from rich.console import Console
from rich.live import Live
from rich.text import Text

from sb3_ext.cli.curve import draw_axis, draw_bar, draw_curve, draw_sparkline, resample, style_bar, style_curve
from sb3_ext.cli.run_lines import format_rating, format_stage, name_below, style_status
from sb3_ext.cli.tables import Column, bold, dim, format_table, pack
from sb3_ext.errors import RunError
from sb3_ext.formatting import format_duration, shorten_names
from sb3_ext.runs.episode_files import EpisodeReturns
from sb3_ext.runs.run import LIVE_STATUSES, Run
from sb3_ext.runs.status import RunStatus

_REFRESH_SECONDS = 1.0
_SIZE_WITHOUT_TERMINAL = (100, 1000)
_MIN_CURVE_HEIGHT, _MAX_CURVE_HEIGHT = 6, 16
_LINES_OF_A_RUN = 2

Draw = Callable[[int, int], tuple[list[str], bool]]
"""Given the width and the height: the lines that there are to see now, and whether there will be more."""


def watch_run(run: Run) -> None:
    """
    Show one run until it ends.

    :param run: the run
    """
    returns = EpisodeReturns(run.paths.monitor)

    def draw(width: int, height: int) -> tuple[list[str], bool]:
        record = run.record
        return _draw_run(run.name, record, returns.read(), width, height), record.status in LIVE_STATUSES

    _show(draw)


def watch_runs(root: Path, find_runs: Callable[[], list[Run]]) -> None:
    """
    Show the runs that are running, or have ended since the view was opened, until Ctrl+C.

    :param root: where they are, for the words
    :param find_runs: finds all runs there
    """
    seen: dict[Path, EpisodeReturns] = {}

    def draw(width: int, height: int) -> tuple[list[str], bool]:
        shown: list[tuple[str, RunStatus, list[float]]] = []
        for run in find_runs():
            try:
                record = run.record
            except RunError:  # `runs list` shows the error
                continue
            path = run.paths.root
            if record.status in LIVE_STATUSES:
                seen.setdefault(path, EpisodeReturns(run.paths.monitor))
            if path in seen:
                shown.append((name_below(root, run), record, seen[path].read()))
        return _draw_runs(shown, width, height) if shown else [dim(f"No run is running in {root}.")], True

    _show(draw)


def _show(draw: Draw) -> None:
    console = Console(highlight=False)
    if not console.is_terminal:
        for line in draw(*_SIZE_WITHOUT_TERMINAL)[0]:
            click.echo(line)
        return
    with Live(console=console, auto_refresh=False) as live:
        while True:
            lines, goes_on = draw(console.width, console.height)
            live.update(Text.from_ansi("\n".join(lines), no_wrap=True), refresh=True)
            if not goes_on:
                break
            time.sleep(_REFRESH_SECONDS)


def _draw_run(name: str, record: RunStatus, returns: list[float], width: int, height: int) -> list[str]:
    lines = [*_draw_titles([(name, record)], width), *_draw_progress(record, width)]
    lines += pack([f"{dim(label)} {value}" for label, value in _list_facts(record)], width)
    if returns:
        lines += ["", *_draw_returns(returns, width, height - len(lines) - 5)]
    return lines


def _draw_runs(runs: list[tuple[str, RunStatus, list[float]]], width: int, height: int) -> list[str]:
    """As many as there is room for: two lines each, aligned with those of the others."""
    room = max(1, (height - 1) // _LINES_OF_A_RUN)
    shown = runs[:room]
    titles = _draw_titles([(name, record) for name, record, _ in shown], width)
    summaries = _draw_summaries([(record, returns) for _, record, returns in shown], width)
    lines = list(chain(*zip(titles, summaries, strict=True)))
    return lines if len(runs) <= room else [*lines, dim(f"and {len(runs) - room} more; `sb3-ext runs list` has all")]


def _draw_titles(runs: list[tuple[str, RunStatus]], width: int) -> list[str]:
    columns = [
        Column(min_width=20, shorten=shorten_names, style=bold),
        Column(style=style_status),
        Column(priority=1, min_width=20, style=dim),
    ]
    return format_table(columns, [(name, record.status, _describe(record)) for name, record in runs], width)


def _describe(record: RunStatus) -> str:
    described = record.phase if record.status in LIVE_STATUSES else record.explanation
    return ", ".join(filter(None, [described, "mock environment" if record.mock else None]))


def _draw_progress(record: RunStatus, width: int) -> list[str]:
    if record.share is None:
        return [_format_steps(record)]
    text = f"  {_format_share(record)}  {_format_steps(record)}"
    return [style_bar(draw_bar(record.share, 1, max(10, min(width // 2, width - len(text))))) + text]


def _draw_summaries(runs: list[tuple[RunStatus, list[float]]], width: int) -> list[str]:
    columns = [
        Column(style=style_bar),
        Column(align=">"),  # the share that is done
        Column(priority=1, align=">"),  # return
        Column(priority=3, style=style_curve),
        Column(priority=2, align=">"),  # time left
        Column(priority=4, align=">"),  # step
        Column(priority=5, align=">"),  # speed
        Column(priority=6, align=">"),  # episodes
    ]
    bar_width, curve_width = max(14, width // 8), max(16, width // 4)
    rows = []
    for record, returns in runs:
        bar = "" if record.share is None else draw_bar(record.share, 1, bar_width)
        curve = draw_sparkline(resample(returns, curve_width)) if returns else ""
        mean, left, speed = record.episode_return_mean, _format_left(record), record.fps
        rows.append(
            (
                bar or _format_steps(record),
                _format_share(record),
                "" if mean is None else f"return {mean:,.2f}",
                curve,
                "" if left is None else f"{left} left",
                _format_steps(record) if bar else "",
                "" if speed is None else f"{speed:,.0f} steps/s",
                f"{record.episode:,} episodes",
            )
        )
    return format_table(columns, rows, width, indent=2)


def _format_steps(record: RunStatus) -> str:
    total_steps = record.nearest_total_steps
    return f"{record.step:,} steps" if total_steps is None else f"{record.step:,} of {total_steps:,} steps"


def _format_share(record: RunStatus) -> str:
    return "" if record.share is None else f"{record.share:.1%}"


def _list_facts(record: RunStatus) -> list[tuple[str, str]]:
    facts = [
        ("elapsed", format_duration(record.elapsed_seconds)),
        ("left", _format_left(record)),
        ("steps/s", None if record.fps is None else f"{record.fps:,.0f}"),
        ("episodes", f"{record.episode:,}"),
        ("ε", None if record.epsilon is None else f"{record.epsilon:.4f}"),
        ("return", None if record.episode_return_mean is None else f"{record.episode_return_mean:,.2f}"),
        ("best evaluation", None if record.best_evaluation is None else f"{record.best_evaluation:,.2f}"),
        ("rating", format_rating(record)),
        ("stage", format_stage(record)),
    ]
    return [(name, value) for name, value in facts if value is not None]


def _draw_returns(returns: list[float], width: int, height: int) -> list[str]:
    """Across the whole terminal; the vertical axis goes from the lowest mean to the highest."""
    height = max(_MIN_CURVE_HEIGHT, min(height, _MAX_CURVE_HEIGHT))
    label_width = max(len(f"{bound(returns):,.1f}") for bound in (min, max))
    curve_width = max(20, width - label_width - 2)
    means = resample(returns, 2 * curve_width)  # two dots in each character
    rows = draw_curve(means, height)
    labels = [f"{max(means):,.1f}", *[""] * (height - 2), f"{min(means):,.1f}"]
    lines = [
        f"{dim(label.rjust(label_width))} {dim('┤' if label else '│')}{style_curve(row)}"
        for label, row in zip(labels, rows, strict=True)
    ]
    axis, numbers = draw_axis(len(returns), curve_width, "episodes")
    margin = " " * (label_width + 1)
    return [dim(f"{' ' * label_width} return"), *lines, dim(f"{margin}└{axis}"), dim(f"{margin} {numbers}")]


def _format_left(record: RunStatus) -> str | None:
    if record.eta_seconds is None or record.status not in LIVE_STATUSES:
        return None
    return format_duration(record.eta_seconds)
