"""``comparison.png``: returns by steps and by time, speed and memory of several runs."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.ticker import EngFormatter, ScalarFormatter
from matplotlib.typing import HashableList

from sb3_ext.formatting import shorten_names
from sb3_ext.reports.comparison import ComparedRun, Comparison
from sb3_ext.reports.overlay import RunCurves, draw_returns, list_looks
from sb3_ext.reports.pictures import label_shares, make_figure, place_legend, save_figure, style_axes
from sb3_ext.reports.seed_groups import Evidence

_NAME_CHARACTERS = 28
_BAR_INCHES = 0.35


def plot_comparison(
    runs: Sequence[ComparedRun], comparison: Comparison, path: Path, evidence: Evidence | None = None
) -> None:
    """
    Draw returns by steps and by time, bars of speed and of memory where it is known, and interquartile means and
    performance profiles of several seeds.

    :param runs: in the order of the table
    :param comparison: of them
    :param path: the picture; the format follows from its suffix
    :param evidence: of runs with several seeds; ``None`` if there are none
    :raises ValueError: if the format is unknown
    """
    bars_inches = 1.4 + _BAR_INCHES * len(runs)
    has_memory = any(figures.memory_peak_bytes for figures in comparison.figures)
    rows: list[HashableList[str]] = [["steps", "time"], ["speed", "memory" if has_memory else "speed"]]
    inches = [4.8, bars_inches]
    if evidence is not None:
        rows.append(["iqm", "profile"])
        inches.append(4.0)
    figure = make_figure(14.0, 0.4 + sum(inches))
    panels = figure.subplot_mosaic(rows, height_ratios=inches)
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
    if evidence is not None:
        _draw_means(panels["iqm"], evidence)
        _draw_profiles(panels["profile"], evidence)
    place_legend(figure, panels["steps"])
    save_figure(figure, path)


def _draw_means(axes: Axes, evidence: Evidence) -> None:
    groups = evidence.groups
    for row, (group, look) in enumerate(zip(groups, list_looks(len(groups)), strict=True)):
        if group.interval is not None:
            axes.hlines(row, *group.interval, color=look["color"], linewidth=10, alpha=0.35)
        axes.plot(group.iqm, row, "|", color=look["color"], markersize=18, markeredgewidth=3)
    style_axes(axes, title="Interquartile mean, with 95 % interval", x_label=evidence.measure)
    axes.set_yticks(range(len(groups)), shorten_names([group.name for group in groups], _NAME_CHARACTERS))
    axes.set_ylim(len(groups) - 0.5, -0.5)


def _draw_profiles(axes: Axes, evidence: Evidence) -> None:
    for group, look in zip(evidence.groups, list_looks(len(evidence.groups)), strict=True):
        axes.plot(evidence.thresholds, group.profile, label=group.name, linewidth=2.0, **look)
        if group.profile_band is not None:
            axes.fill_between(evidence.thresholds, *group.profile_band, color=look["color"], alpha=0.15, linewidth=0)
    style_axes(axes, title="Performance profile: share of runs above a score", x_label="score")
    label_shares(axes)
    axes.legend(fontsize=10, frameon=False)


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
