"""Several trainings in one picture, with the seeds of one configuration taken together; and in one table."""

from __future__ import annotations

import csv
import io
import itertools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal, TypeAlias

import numpy as np
from matplotlib.axes import Axes

from sb3_ext.atomic import write_text
from sb3_ext.reports.curves import draw_evaluations
from sb3_ext.reports.evidence import bootstrap_iqm_band, compute_iqm
from sb3_ext.reports.intervals import compute_t95
from sb3_ext.reports.pictures import (
    COLORS,
    choose_marker,
    label_shares,
    label_steps,
    make_figure,
    place_legend,
    save_figure,
    style_axes,
)
from sb3_ext.reports.scores import score_games
from sb3_ext.reports.series import MAX_POINTS, Series, SmoothSeries, choose_window, smooth

XAxis: TypeAlias = Literal["steps", "time"]
"""What the returns are drawn over."""

_LINE_STYLES = ("-", "--", ":", "-.")
Average: TypeAlias = Literal["mean", "iqm"]
"""What is drawn of several seeds: their mean, or their interquartile mean."""

# That of two is 12.7 standard errors wide on each side, and shows less than the two lines.
_MIN_SEEDS_FOR_INTERVAL = 3
_RETURN, _WIN_RATE = "Return", "Win rate"
_UNITS = {"seconds": 1.0, "minutes": 60.0, "hours": 3600.0}


@dataclass(frozen=True)
class RunCurves:
    """
    What is drawn of one run.

    :param name: the run's
    :param group: what it has in common with its other seeds: runs of one group become one line
    :param metrics: the content of its ``metrics.json``
    :param evaluations: the lines of its ``evaluations.jsonl``
    :param of_game: whether episodes are games of two players
    """

    name: str
    group: str
    metrics: Mapping[str, Any]
    evaluations: Sequence[Mapping[str, Any]]
    of_game: bool = False


@dataclass(frozen=True)
class _TimeAxis:
    """What is counted horizontally: a field of the data, in units of so much of it."""

    field: str
    label: str
    unit: float = 1.0

    def read_returns(self, run: RunCurves) -> Series:
        episodes = run.metrics["episodes"]
        returns = Series.read(episodes[self.field], episodes["return"])
        return Series(returns.x / self.unit, returns.y)

    def read_evaluations(self, run: RunCurves) -> Series:
        lines = run.evaluations
        means = Series.read([line[self.field] for line in lines], [line["mean_return"] for line in lines])
        return Series(means.x / self.unit, means.y)


def plot_runs(runs: Sequence[RunCurves], path: Path, *, x: XAxis = "steps", average: Average = "mean") -> None:
    """
    Draw the returns of several runs, and their evaluations where there are any.

    A run of its own is drawn as its moving average, with quartiles if there is no other: those of several would hide
    the lines. Its evaluations have the 95 % intervals of their means. Of several seeds each is drawn faintly, and as
    far as all of them went their mean; from three on with its 95 % interval (Student's t over the seeds). If all runs
    play games of win and loss, their win rates are drawn in place of the returns.

    :param runs: at least one
    :param path: the picture; the format follows from its suffix
    :param x: what is counted horizontally: steps, or the time that training has lasted
    :param average: of several seeds; ``iqm`` has a bootstrap interval
    :raises ValueError: if there are no runs, or the format is unknown
    """
    if not runs:
        raise ValueError("there are no runs to plot")
    runs, what = _choose_measure(runs)
    groups: dict[str, list[RunCurves]] = {}
    for run in runs:
        groups.setdefault(run.group, []).append(run)
    axis = _choose_axis(runs, x)
    has_evaluations = any(run.evaluations for run in runs)
    figure = make_figure(14.0 if has_evaluations else 9.0, 5.5)
    panels = figure.subplots(1, 1 + has_evaluations, sharex=True, sharey=True, squeeze=False)[0]
    has_quartiles = len(groups) == 1
    for (group, members), look in zip(groups.items(), list_looks(len(groups)), strict=True):
        smoothed = _smooth(axis, members)
        look["label"] = (
            f"{group}: {_describe(members, smoothed[0].band if has_quartiles and smoothed else None, average)}"
        )
        _draw_training(panels[0], smoothed, look, has_quartiles, average)
        if has_evaluations:
            _draw_evaluations(panels[1], members, axis, look, average)
    for axes, of_what in zip(panels, ("training episodes", "evaluations"), strict=False):
        _style(axes, what, of_what, axis)
    place_legend(figure, panels[0])
    save_figure(figure, path)


def draw_returns(axes: Axes, runs: Sequence[RunCurves], *, x: XAxis = "steps") -> None:
    """
    Draw the returns of training into a panel: for each run its moving average.

    :param axes: the panel
    :param runs: in the order of their looks
    :param x: what is counted horizontally
    """
    runs, what = _choose_measure(runs)
    axis = _choose_axis(runs, x)
    for run, look in zip(runs, list_looks(len(runs)), strict=True):
        _draw_training(axes, _smooth(axis, [run]), {**look, "label": run.name}, has_quartiles=False)
    _style(axes, what, "training episodes", axis)


def list_looks(count: int) -> list[dict[str, Any]]:
    """:return: for so many lines, what tells them apart: colour and line style, as matplotlib's keyword arguments"""
    looks = itertools.cycle(itertools.product(_LINE_STYLES, COLORS))
    return [{"color": color, "linestyle": style} for style, color in itertools.islice(looks, count)]


def export_runs(runs: Sequence[RunCurves], path: Path) -> None:
    """
    Write one table with a row an episode and a row an evaluation.

    :param runs: whose
    :param path: a CSV file with the columns ``group``, ``run``, ``kind`` (``episode`` or ``evaluation``), ``step``,
        ``elapsed_seconds``, ``return`` and ``length`` (means for an evaluation); what is missing is empty
    """
    table = io.StringIO()
    writer = csv.writer(table, lineterminator="\n")
    writer.writerow(["group", "run", "kind", "step", "elapsed_seconds", "return", "length"])
    for run in runs:
        episodes = [run.metrics["episodes"][name] for name in ("step", "elapsed_seconds", "return", "length")]
        evaluations = [
            (line["step"], line["elapsed_seconds"], line["mean_return"], line["mean_length"])
            for line in run.evaluations
        ]
        writer.writerows([run.group, run.name, "episode", *row] for row in zip(*episodes, strict=True))
        writer.writerows([run.group, run.name, "evaluation", *row] for row in evaluations)
    write_text(path, table.getvalue(), durable=False)


def _choose_measure(runs: Sequence[RunCurves]) -> tuple[Sequence[RunCurves], str]:
    """:return: the runs, with scores for returns if all of them can have them; and what they have"""
    scores = [score_games(run.metrics, run.evaluations) if run.of_game else None for run in runs]
    scored = [
        replace(run, metrics=score.metrics, evaluations=score.evaluations)
        for run, score in zip(runs, scores, strict=True)
        if score is not None
    ]
    return (scored, _WIN_RATE) if len(scored) == len(runs) else (runs, _RETURN)


def _style(axes: Axes, what: str, of_what: str, axis: _TimeAxis) -> None:
    style_axes(axes, title=f"{what} of {of_what}", x_label=axis.label)
    if axis.field == "step":
        label_steps(axes)
    if what == _WIN_RATE:
        label_shares(axes)


def _smooth(axis: _TimeAxis, members: Sequence[RunCurves]) -> list[SmoothSeries]:
    returns = (axis.read_returns(run) for run in members)
    return [smooth(series, choose_window(len(series))) for series in returns if len(series)]


def _choose_axis(runs: Sequence[RunCurves], x: XAxis) -> _TimeAxis:
    return _TimeAxis("step", "steps") if x == "steps" else _choose_time_axis(runs)


def _choose_time_axis(runs: Sequence[RunCurves]) -> _TimeAxis:
    seconds = _TimeAxis("elapsed_seconds", "")
    longest = max((series.x[-1] for run in runs if len(series := seconds.read_returns(run))), default=0.0)
    name = max((name for name in _UNITS if longest >= 2 * _UNITS[name]), key=_UNITS.__getitem__, default="seconds")
    return _TimeAxis("elapsed_seconds", f"time ({name})", _UNITS[name])


def _describe(members: Sequence[RunCurves], band: str | None, average: Average) -> str:
    if len(members) == 1:
        return "moving average" + (f", {band}" if band is not None else "")
    return f"{'IQM' if average == 'iqm' else 'mean'} of {len(members)} runs" + (
        ", 95 % interval" if len(members) >= _MIN_SEEDS_FOR_INTERVAL else ""
    )


def _draw_training(
    axes: Axes, smoothed: list[SmoothSeries], look: dict[str, Any], has_quartiles: bool, average: Average = "mean"
) -> None:
    if len(smoothed) == 1:
        [only] = smoothed
        if has_quartiles:
            axes.fill_between(only.x, only.low, only.high, color=look["color"], alpha=0.15, linewidth=0)
        axes.plot(only.x, only.mean, linewidth=2.0, **look, **choose_marker(len(only.x)))
    else:
        _draw_seeds(axes, [Series(series.x, series.mean) for series in smoothed], look, average)


def _draw_evaluations(
    axes: Axes, members: list[RunCurves], axis: _TimeAxis, look: dict[str, Any], average: Average
) -> None:
    if len(members) == 1:
        draw_evaluations(axes, members[0].evaluations, look["color"], x=axis.field, unit=axis.unit)
    else:
        _draw_seeds(axes, [series for run in members if len(series := axis.read_evaluations(run))], look, average)


def _draw_seeds(axes: Axes, seeds: list[Series], look: dict[str, Any], average: Average) -> None:
    for seed in seeds:
        axes.plot(seed.x, seed.y, linewidth=1.0, alpha=0.35, **{**look, "label": None}, **choose_marker(len(seed)))
    if not seeds:
        return
    first, last = max(seed.x[0] for seed in seeds), min(seed.x[-1] for seed in seeds)
    x = np.linspace(first, max(first, last), MAX_POINTS)
    values = np.array([np.interp(x, seed.x, seed.y) for seed in seeds])
    middle = compute_iqm(values, axis=0) if average == "iqm" else values.mean(axis=0)
    axes.plot(x, middle, linewidth=2.2, **look)
    if len(seeds) >= _MIN_SEEDS_FOR_INTERVAL:
        if average == "iqm":
            low, high = bootstrap_iqm_band(values)
        else:
            half_width = compute_t95(len(seeds) - 1) * values.std(axis=0, ddof=1) / math.sqrt(len(seeds))
            low, high = middle - half_width, middle + half_width
        limits = axes.dataLim.frozen()
        axes.fill_between(x, low, high, color=look["color"], alpha=0.15, linewidth=0)
        axes.dataLim.set(limits)  # the interval of few seeds is wide: it must not squeeze the curves
