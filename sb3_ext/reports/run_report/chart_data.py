"""What the charts of a report show, as plain data for its script."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from sb3_ext.reports.metrics_file import replace_non_finite

_MAX_BINS, _MAX_POINTS, _MAX_EVALUATIONS = 300, 400, 1000
_DIGITS = 6
_MAX_OUTCOMES = 3
_STEP, _SECONDS = "step", "elapsed_seconds"
_TITLES = {
    "train/loss": "Loss",
    "train/value_loss": "Value loss",
    "train/critic_loss": "Critic loss",
    "train/policy_gradient_loss": "Policy loss",
    "train/policy_loss": "Policy loss",
    "train/actor_loss": "Actor loss",
    "train/entropy_loss": "Entropy loss",
    "train/ent_coef": "Entropy coefficient",
    "train/approx_kl": "Divergence of an update (KL)",
    "train/explained_variance": "Explained variance",
    "train/mean_q": "Mean Q-value",
    "train/learning_rate": "Learning rate",
    "rollout/exploration_rate": "Exploration rate",
    "rollout/success_rate": "Success rate",
    "rating/mu": "Rating in training games",
    "curriculum/stage": "Stage of the curriculum",
    "time/fps": "Steps per second",
}
"""The charts that are shown first, in this order; others are below them."""
_LEFT_OUT = {_STEP, _SECONDS, "time/total_timesteps", "time/time_elapsed", "time/eta_seconds", "rating/sigma"}
_SHOWN_ELSEWHERE = re.compile(r"eval/(.*/)?(mean_return|std_return|mean_length|success_rate)|rollout/ep_(rew|len)_mean")

Series = dict[str, Any]
Chart = dict[str, Any]


def make_charts(
    metrics: Mapping[str, Any], evaluations: Mapping[str, Sequence[Mapping[str, Any]]], *, of_game: bool = False
) -> list[Chart]:
    """
    :param metrics: the content of ``metrics.json``; empty if there is none
    :param evaluations: the lines of each evaluation, by its name
    :param of_game: whether episodes are games of two players
    :return: for each chart its ``title``, whether it is among the ``main`` ones, and its ``series``
    """
    charts: list[Chart] = [_make_returns(metrics, evaluations, "Return" if not of_game else "Return (win 1, loss −1)")]
    charts += _make_success(evaluations)
    episodes, training = metrics.get("episodes", {}), metrics.get("training", {})
    if episodes:
        lengths = _bin(episodes, "length", "training episodes")
        charts.append({"title": "Episode length", "main": True, "series": [lengths] if lengths else []})
    names = [name for name in training if name not in _LEFT_OUT and not _SHOWN_ELSEWHERE.fullmatch(name)]
    for name in sorted(names, key=lambda name: (list(_TITLES).index(name) if name in _TITLES else 99, name)):
        series = _make_logged(training, name)
        if series is not None:
            title = _TITLES.get(name, name)
            is_share = name == "rollout/success_rate"
            charts.append({"title": title, "main": name in _TITLES, "is_share": is_share, "series": [series]})
    return [chart for chart in charts if chart["series"]]


def make_sweep_charts(
    metrics: Mapping[str, Mapping[str, Any]], evaluations: Mapping[str, Sequence[Mapping[str, Any]]]
) -> list[Chart]:
    """
    :param metrics: the content of ``metrics.json`` of each run, by its name
    :param evaluations: the lines of its first evaluation
    :return: charts of the returns, with a series for each run
    """
    judged = [_make_evaluation(name, lines) for name, lines in evaluations.items()]
    charts: list[Chart] = [
        {"title": "Mean return of evaluations", "main": True, "is_large": True, "series": list(filter(None, judged))}
    ]
    for column, title in (("return", "Return of training episodes"), ("length", "Episode length")):
        series = [_bin(found["episodes"], column, name) for name, found in metrics.items()]
        for one in filter(None, series):
            one.pop("low", None)
            one.pop("high", None)
        charts.append(
            {"title": title, "main": True, "is_large": column == "return", "series": list(filter(None, series))}
        )
    return [chart for chart in charts if chart["series"]]


def make_marks(metrics: Mapping[str, Any]) -> list[dict[str, Any]]:
    """
    :param metrics: the content of ``metrics.json``
    :return: step and name of each stage of the curriculum
    """
    return [{"x": change["step"], "label": change["name"]} for change in metrics.get("curriculum") or []]


def _make_returns(
    metrics: Mapping[str, Any], evaluations: Mapping[str, Sequence[Mapping[str, Any]]], title: str
) -> Chart:
    episodes = metrics.get("episodes", {})
    found = [_bin(episodes, "return", "training episodes")] if episodes else []
    found += [_make_evaluation(name, lines) for name, lines in evaluations.items()]
    return {"title": title, "main": True, "is_large": True, "series": [series for series in found if series]}


def _make_evaluation(name: str, lines: Sequence[Mapping[str, Any]]) -> Series | None:
    chosen = _thin([line for line in lines if line.get("mean_return") is not None], _MAX_EVALUATIONS)
    if not chosen:
        return None
    intervals = [line.get("ci95") or (None, None) for line in chosen]
    series: Series = replace_non_finite(
        {
            "name": name,
            "kind": "points",
            "x": [line[_STEP] for line in chosen],
            "t": [line.get(_SECONDS) for line in chosen],
            "y": [_round(line["mean_return"]) for line in chosen],
            "low": [_round(low) for low, _ in intervals],
            "high": [_round(high) for _, high in intervals],
        }
    )
    return series


def _make_success(evaluations: Mapping[str, Sequence[Mapping[str, Any]]]) -> list[Chart]:
    series: list[Series] = []
    for name, lines in evaluations.items():
        chosen = _thin([line for line in lines if line.get("success_rate") is not None], _MAX_EVALUATIONS)
        if chosen:
            x, t = [line[_STEP] for line in chosen], [line.get(_SECONDS) for line in chosen]
            y = [_round(line["success_rate"]) for line in chosen]
            series.append({"name": name, "kind": "points", "x": x, "t": t, "y": y})
    return [{"title": "Success rate of evaluations", "main": True, "is_share": True, "series": series}]


def _make_logged(training: Mapping[str, Sequence[float | None]], name: str) -> Series | None:
    rows = [
        (step, seconds, value)
        for step, seconds, value in zip(training[_STEP], training[_SECONDS], training[name], strict=True)
        if value is not None
    ]
    if len({value for _, _, value in rows}) < 2 and name not in _TITLES:
        return None  # a constant, such as a coefficient
    rows = _thin(rows, _MAX_POINTS)
    if not rows:
        return None
    x, t, y = zip(*rows, strict=True)
    series: Series = {"name": name, "kind": "line", "x": list(x), "t": _round_all(t), "y": _round_all(y)}
    if name == "rating/mu" and "rating/sigma" in training:
        sigma = dict(zip(training[_STEP], training["rating/sigma"], strict=True))
        spread = [sigma.get(step) or 0.0 for step in x]
        series["low"] = [_round(value - width) for value, width in zip(y, spread, strict=True)]
        series["high"] = [_round(value + width) for value, width in zip(y, spread, strict=True)]
    return series


def _bin(episodes: Mapping[str, Sequence[float | None]], column: str, name: str) -> Series | None:
    """Average neighbours, so that each point is about as many episodes; with their quartiles."""
    found = zip(episodes[_STEP], episodes[_SECONDS], episodes[column], strict=True)
    rows = np.array([row for row in found if row[2] is not None], dtype=float).reshape(-1, 3)
    if not len(rows):
        return None
    parts = np.array_split(rows, min(len(rows), _MAX_BINS))
    size = math.ceil(len(rows) / len(parts))
    series: Series = {
        "name": name if size == 1 else f"{name}, means of {size}",
        "kind": "line",
        "x": [int(part[-1, 0]) for part in parts],
        "t": _round_all(part[-1, 1] for part in parts),
        "y": _round_all(part[:, 2].mean() for part in parts),
    }
    if size > 3:
        bands = [_compute_band(part[:, 2], of_outcomes=len(np.unique(rows[:, 2])) <= _MAX_OUTCOMES) for part in parts]
        series["low"], series["high"] = (_round_all(ends) for ends in zip(*bands, strict=True))
    return series


def _compute_band(values: Any, *, of_outcomes: bool) -> tuple[float, float]:
    """:return: the quartiles; of games of win, draw and loss, whose quartiles jump, the mean ± two standard errors"""
    if not of_outcomes:
        return float(np.percentile(values, 25)), float(np.percentile(values, 75))
    mean, error = values.mean(), values.std() / math.sqrt(len(values))
    return float(mean - 2 * error), float(mean + 2 * error)


def _thin(rows: Sequence[Any], count: int) -> list[Any]:
    """:return: at most so many rows, evenly chosen, the last among them"""
    if len(rows) <= count:
        return list(rows)
    return [rows[index] for index in np.unique(np.linspace(0, len(rows) - 1, count).astype(int))]


def _round_all(values: Any) -> list[float | None]:
    return [_round(value) for value in values]


def _round(value: float | None) -> float | None:
    if value is None or not math.isfinite(value):
        return None
    return float(f"{value:.{_DIGITS}g}")
