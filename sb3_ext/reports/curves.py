"""``training_curves.png``: one training at a glance."""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes

from sb3_ext.reports.pictures import (
    COLORS,
    choose_marker,
    label_shares,
    label_steps,
    make_grid,
    save_figure,
    style_axes,
)
from sb3_ext.reports.scores import SCORE_TITLE, score_games
from sb3_ext.reports.series import Series, choose_window, smooth

_STAGE_COLOR = "#555555"
_WIDTH_INCHES, _TOP_INCHES, _ROW_INCHES = 14.0, 3.4, 1.9


@dataclass(frozen=True)
class _Panel:
    """
    A number of the log, drawn where there is data of it.

    :param title: what it is called
    :param names: how the algorithms call it
    :param is_noisy: draw a moving average
    """

    title: str
    names: tuple[str, ...]
    is_noisy: bool = False


_LENGTH = _Panel("Episode length", (), is_noisy=True)
_RIGHT_MOVES = _Panel("Right moves where the choice matters", ())
_PANELS = (
    _Panel("Loss", ("train/loss",), is_noisy=True),
    _Panel("Value loss", ("train/value_loss", "train/critic_loss"), is_noisy=True),
    _Panel("Policy loss", ("train/policy_gradient_loss", "train/policy_loss", "train/actor_loss"), is_noisy=True),
    _Panel("Entropy loss", ("train/entropy_loss",), is_noisy=True),
    _Panel("Entropy coefficient", ("train/ent_coef",)),
    _Panel("TD error", ("train/td_error",), is_noisy=True),
    _Panel("Mean Q-value", ("train/mean_q",)),
    _Panel("Exploration rate", ("rollout/exploration_rate",)),
    _Panel("Learning rate", ("train/learning_rate",)),
    _Panel("Steps per second", ("time/fps",)),
)


def plot_curves(
    metrics: Mapping[str, Any],
    evaluations: Sequence[Mapping[str, Any]],
    path: Path,
    *,
    title: str | None = None,
    of_game: bool = False,
    other_evaluations: Mapping[str, Sequence[Mapping[str, Any]]] | None = None,
) -> None:
    """
    Draw returns, evaluations, losses and all other series with data, over steps.

    Of a game of win and loss, the win rate is drawn in place of the return.

    :param metrics: the content of ``metrics.json``
    :param evaluations: the lines of ``evaluations.jsonl``
    :param path: the picture; the format follows from its suffix
    :param title: what stands above it, the run's name say
    :param of_game: whether episodes are games of two players
    :param other_evaluations: lines of the evaluations beside the first, by name
    :raises ValueError: if the format is unknown
    """
    scores = score_games(metrics, evaluations) if of_game else None
    metrics, evaluations = scores or (metrics, evaluations)
    episodes = metrics["episodes"]
    panels = _list_panels(metrics, evaluations)
    columns = min((3, 4), key=lambda columns: -len(panels) % columns)  # that leaves fewer places empty
    rows = math.ceil(len(panels) / columns)
    figure, grid = make_grid(_WIDTH_INCHES, [_TOP_INCHES] + [_ROW_INCHES] * rows, columns)
    top = figure.add_subplot(grid[0, :])
    returns = Series.read(episodes["step"], episodes["return"])
    others = {} if other_evaluations is None or scores is not None else other_evaluations
    _draw_returns(top, returns, evaluations, others, "Return" if scores is None else SCORE_TITLE)
    if scores is not None:
        label_shares(top)
    changes = metrics.get("curriculum") or []
    _mark_stages(top, changes, named=True)
    for place, (panel, series) in enumerate(panels):
        axes = figure.add_subplot(grid[1 + place // columns, place % columns], sharex=top)
        _draw_panel(axes, panel, series, is_lowest=place + columns >= len(panels))
        _mark_stages(axes, changes)
    if title is not None:
        figure.suptitle(title, fontsize=14, fontweight="bold")
    save_figure(figure, path)


def _list_panels(metrics: Mapping[str, Any], evaluations: Sequence[Mapping[str, Any]]) -> list[tuple[_Panel, Series]]:
    episodes, training = metrics["episodes"], metrics["training"]
    judged = [line for line in evaluations if line.get("right_moves")]
    shares = [line["right_moves"]["share_where_it_matters"] for line in judged]
    panels = [(_RIGHT_MOVES, Series.read([line["step"] for line in judged], shares))]
    panels += [(_LENGTH, Series.read(episodes["step"], episodes["length"]))]
    for panel in _PANELS:
        panels += [(panel, Series.read(training["step"], training[name])) for name in panel.names if name in training]
    return [(panel, series) for panel, series in panels if len(series)]


def _draw_returns(
    axes: Axes,
    returns: Series,
    evaluations: Sequence[Mapping[str, Any]],
    others: Mapping[str, Sequence[Mapping[str, Any]]],
    title: str,
) -> None:
    if len(returns):
        window = choose_window(len(returns))
        smoothed, thinned = smooth(returns, window), returns.thin()
        if window > 1:
            axes.plot(thinned.x, thinned.y, ".", color=COLORS[0], alpha=0.3, markersize=4, label="training episode")
            axes.fill_between(smoothed.x, smoothed.low, smoothed.high, color=COLORS[0], alpha=0.2, linewidth=0)
        label = f"mean of {window} episodes, with {smoothed.band}" if window > 1 else "training episode"
        look = choose_marker(len(smoothed.x))
        axes.plot(smoothed.x, smoothed.mean, color=COLORS[0], linewidth=2.0, label=label, **look)
    if evaluations:
        draw_evaluations(axes, evaluations, COLORS[1], label="evaluation, with 95 % interval")
    for (name, lines), color in zip(others.items(), itertools.cycle(COLORS[2:]), strict=False):
        if lines:
            draw_evaluations(axes, lines, color, label=f"evaluation {name}")
    style_axes(axes, title=title, x_label="steps")
    label_steps(axes)
    if axes.has_data():
        # Above the panel, where nothing is drawn.
        axes.legend(fontsize=10, frameon=False, loc="lower right", bbox_to_anchor=(1.0, 1.0), ncols=3, borderpad=0.2)


def _draw_panel(axes: Axes, panel: _Panel, series: Series, *, is_lowest: bool) -> None:
    thinned = series.thin()
    if panel.is_noisy:
        smoothed = smooth(series, choose_window(len(series)))
        axes.plot(thinned.x, thinned.y, color=COLORS[0], alpha=0.35, linewidth=1.0)
        axes.plot(smoothed.x, smoothed.mean, color=COLORS[0], linewidth=2.0, **choose_marker(len(series)))
    else:
        axes.plot(thinned.x, thinned.y, color=COLORS[0], linewidth=2.0, **choose_marker(len(series)))
    if np.ptp(series.y) == 0 and series.y[0] != 0:
        low, high = sorted((0.0, 2 * series.y[0]))
        axes.set_ylim(low, high)  # a constant needs no magnifying glass
    style_axes(axes, title=panel.title, x_label="steps" if is_lowest else None)
    label_steps(axes)


def _mark_stages(axes: Axes, changes: Sequence[Mapping[str, Any]], *, named: bool = False) -> None:
    """Draw a vertical line where a stage of the curriculum begins."""
    for change in changes:
        axes.axvline(change["step"], color=_STAGE_COLOR, linestyle=":", linewidth=1.4, zorder=1)
        if named:
            axes.annotate(
                change["name"], (change["step"], 1.0), xytext=(3, -4), textcoords="offset points",
                xycoords=axes.get_xaxis_transform(), ha="left", va="top", fontsize=9, color=_STAGE_COLOR, rotation=90,
            )  # fmt: skip


def draw_evaluations(
    axes: Axes,
    evaluations: Sequence[Mapping[str, Any]],
    color: str,
    *,
    x: str = "step",
    unit: float = 1.0,
    label: str | None = None,
) -> None:
    """
    Draw mean returns with the 95 % intervals of the means.

    :param axes: the panel
    :param evaluations: lines of ``evaluations.jsonl``
    :param color: of all of it
    :param x: the field that is counted horizontally
    :param unit: in units of so much of it
    :param label: in the legend
    """
    for line in evaluations:
        if line["ci95"] is not None and None not in line["ci95"]:
            axes.vlines(line[x] / unit, *line["ci95"], color=color, linewidth=1.4, alpha=0.7)
    means = Series.read([line[x] / unit for line in evaluations], [line["mean_return"] for line in evaluations])
    axes.plot(means.x, means.y, "o-", color=color, markersize=5, linewidth=1.2, label=label)
