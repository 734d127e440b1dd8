"""One number over the course of a training: cleaned, smoothed, and thinned out to what a picture can show."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from sb3_ext.reports.intervals import compute_wilson_interval95

Array = np.ndarray[Any, np.dtype[np.float64]]

# More points than a picture of this size has columns of pixels cannot be told apart.
MAX_POINTS = 1000
_MIN_OUTCOMES = 20  # with fewer values, a game of win and loss cannot be told from other rewards
QUARTILES, INTERVAL = "quartiles", "95 % interval"


@dataclass(frozen=True)
class Series:
    """
    Finite values over finite positions, both of shape ``(n,)``.

    :param x: positions, ascending
    :param y: values
    """

    x: Array
    y: Array

    @classmethod
    def read(cls, x: Sequence[float | None], y: Sequence[float | None]) -> Series:
        """
        :param x: positions; ``None`` where one is missing
        :param y: values; likewise
        :return: the pairs of which both are there and finite
        """
        positions, values = np.array(x, dtype=float), np.array(y, dtype=float)
        is_there = np.isfinite(positions) & np.isfinite(values)
        return cls(positions[is_there], values[is_there])

    def __len__(self) -> int:
        return len(self.x)

    def thin(self) -> Series:
        """:return: at most so many points, evenly chosen, that a picture can show them"""
        chosen = _choose_evenly(len(self))
        return Series(self.x[chosen], self.y[chosen])


@dataclass(frozen=True)
class SmoothSeries:
    """
    Moving statistics; all arrays have the same shape ``(n,)``.

    :param x: positions
    :param mean: the mean of the window that ends there
    :param low: its lower quartile, or the lower end of the mean's interval
    :param high: its upper quartile, or the upper end of the mean's interval
    :param band: what ``low`` and ``high`` are, in the words of a legend
    """

    x: Array
    mean: Array
    low: Array
    high: Array
    band: str = QUARTILES


def smooth(series: Series, window: int) -> SmoothSeries:
    """
    Average over a window that ends at each point: nothing is drawn before it has happened. At the beginning it is
    shorter.

    Quartiles of successes and failures, or of wins, draws and losses, flip between nothing and everything: there, the
    band is the 95 % interval of the mean (Wilson's).

    :param series: the values
    :param window: how many values are averaged; positive
    :return: the moving statistics, thinned out
    """
    ends = _choose_evenly(len(series))
    windows = [series.y[max(0, end - window + 1) : end + 1] for end in ends]
    mean = np.array([values.mean() for values in windows])
    outcomes = _detect_outcomes(series.y)
    if outcomes is None:
        band = np.array([np.percentile(values, (25, 75)) for values in windows]).reshape(-1, 2)
        return SmoothSeries(series.x[ends], mean, band[:, 0], band[:, 1])
    low, high = outcomes
    shares = np.clip((mean - low) / (high - low), 0.0, 1.0)
    intervals = [compute_wilson_interval95(share, len(v)) for share, v in zip(shares.tolist(), windows, strict=True)]
    band = low + (high - low) * np.array(intervals)
    return SmoothSeries(series.x[ends], mean, band[:, 0], band[:, 1], INTERVAL)


def _detect_outcomes(values: Array) -> tuple[float, float] | None:
    """:return: the worst and the best, if there are only these and perhaps one in the middle between them"""
    if len(values) < _MIN_OUTCOMES:
        return None
    found = np.unique(values).tolist()
    if len(found) == 2 or (len(found) == 3 and math.isclose(found[0] + found[2], 2 * found[1], abs_tol=1e-9)):
        return found[0], found[-1]
    return None


def choose_window(count: int) -> int:
    """
    :param count: number of values
    :return: how many to average so that the trend shows: a twentieth, at least 1 and at most 100
    """
    return min(max(count // 20, 1), 100)


def _choose_evenly(count: int) -> np.ndarray[Any, np.dtype[np.intp]]:
    return np.unique(np.linspace(0, count - 1, min(count, MAX_POINTS)).astype(np.intp))
