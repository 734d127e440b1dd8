"""``comparison.png``: returns by steps and by time, speed and memory of several runs."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.ticker import EngFormatter, ScalarFormatter

from sb3_ext.formatting import shorten_names
from sb3_ext.reports.comparison import ComparedRun, Comparison
from sb3_ext.reports.overlay import RunCurves, draw_returns, list_looks
from sb3_ext.reports.pictures import make_figure, place_legend, save_figure, style_axes

_NAME_CHARACTERS = 28
_BAR_INCHES = 0.35


def plot_comparison(runs: Sequence[ComparedRun], comparison: Comparison, path: Path) -> None:
    """
    Draw returns by steps and by time, and bars of speed and of memory where it is known.

    :param runs: in the order of the table
    :param comparison: of them
    :param path: the picture; the format follows from its suffix
    :raises ValueError: if the format is unknown
    """
    bars_inches = 1.4 + _BAR_INCHES * len(runs)
    figure = make_figure(14.0, 5.2 + bars_inches)
    has_memory = any(figures.memory_peak_bytes for figures in comparison.figures)
    panels = figure.subplot_mosaic(
        [["steps", "time"], ["speed", "memory" if has_memory else "speed"]], height_ratios=[4.8, bars_inches]
    )
    curves = [
        RunCurves(run.name, run.name, run.metrics, run.evaluations, run.config.get("game") is not None) for run in runs
    ]
    draw_returns(panels["steps"], curves)
    draw_returns(panels["time"], curves, x="time")
    figures = comparison.figures
    names = shorten_names([item.name for item in figures], _NAME_CHARACTERS)
    fps = [item.fps for item in figures]
    _draw_bars(panels["speed"], names, fps, [f"{value or 0:,.0f}" for value in fps], "Steps per second")
    if has_memory:
        gigabytes = [None if item.memory_peak_bytes is None else item.memory_peak_bytes / 1e9 for item in figures]
        texts = ["–" if value is None else f"{value:.2f}" for value in gigabytes]
        _draw_bars(panels["memory"], names, gigabytes, texts, "Peak memory of all processes (GB)")
    place_legend(figure, panels["steps"])
    save_figure(figure, path)


def _draw_bars(axes: Axes, names: list[str], values: Sequence[float | None], texts: list[str], title: str) -> None:
    colors = [look["color"] for look in list_looks(len(names))]
    bars = axes.barh(range(len(names)), [value or 0.0 for value in values], color=colors, height=0.7)
    axes.bar_label(bars, texts, padding=4, fontsize=10)
    style_axes(axes, title=title)
    axes.xaxis.set_major_formatter(EngFormatter(sep="") if axes.get_xlim()[1] >= 1000 else ScalarFormatter())
    axes.set_yticks(range(len(names)), names)
    axes.invert_yaxis()
    axes.grid(visible=False, axis="y")
    axes.margins(x=0.12)
