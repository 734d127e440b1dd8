"""One number over the course of a training: cleaned, smoothed, and thinned out to what a picture can show."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

Array = np.ndarray[Any, np.dtype[np.float64]]

# More points than a picture of this size has columns of pixels cannot be told apart.
MAX_POINTS = 1000


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
    :param low: its lower quartile
    :param high: its upper quartile
    """

    x: Array
    mean: Array
    low: Array
    high: Array


def smooth(series: Series, window: int) -> SmoothSeries:
    """
    Average over a window that ends at each point: nothing is drawn before it has happened. At the beginning it is
    shorter.

    :param series: the values
    :param window: how many values are averaged; positive
    :return: the moving statistics, thinned out
    """
    ends = _choose_evenly(len(series))
    windows = [series.y[max(0, end - window + 1) : end + 1] for end in ends]
    quartiles = np.array([np.percentile(values, (25, 75)) for values in windows]).reshape(-1, 2)
    mean = np.array([values.mean() for values in windows])
    return SmoothSeries(series.x[ends], mean, quartiles[:, 0], quartiles[:, 1])


def choose_window(count: int) -> int:
    """
    :param count: number of values
    :return: how many to average so that the trend shows: a twentieth, at least 1 and at most 100
    """
    return min(max(count // 20, 1), 100)


def _choose_evenly(count: int) -> np.ndarray[Any, np.dtype[np.intp]]:
    return np.unique(np.linspace(0, count - 1, min(count, MAX_POINTS)).astype(np.intp))
