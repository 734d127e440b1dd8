"""
What several seeds show: interquartile means, bootstrap intervals, probability of improvement, performance profiles.

The measures are those of Agarwal et al., Deep Reinforcement Learning at the Edge of the Statistical Precipice (2021),
and have the values of their library rliable. In all functions ``scores`` has one array for each task, with the runs
along the last axis, shape ``(runs,)`` or, for several samples at once, ``(samples, runs)``. The bootstrap resamples the
runs of each task separately (stratified).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

import numpy as np

Array: TypeAlias = np.ndarray[Any, np.dtype[np.float64]]
Scores: TypeAlias = Sequence[Array]
Interval: TypeAlias = tuple[float, float]

REPETITIONS = 2000
_SEED = 0
_TRIMMED_SHARE = 0.25


def compute_iqm(values: Array, axis: int = -1) -> Array:
    """
    The interquartile mean: the mean without the lowest and the highest quarter.

    :param values: any number of values along the axis; of fewer than four, none is left out
    :param axis: over which the mean is taken
    :return: the mean, without that axis
    """
    count = values.shape[axis]
    cut = int(_TRIMMED_SHARE * count)
    kept = np.take(np.sort(values, axis=axis), range(cut, count - cut), axis=axis)
    return np.asarray(kept.mean(axis=axis))


def compute_overall_iqm(scores: Scores) -> Array:
    """
    :param scores: at least one score for each task
    :return: the interquartile mean of all scores of all tasks, shape ``()`` or ``(samples,)``
    """
    return compute_iqm(np.concatenate(scores, axis=-1))


def compute_improvement_probability(first: Scores, second: Scores) -> Array:
    """
    The probability that a run of the second is better than a run of the first on the same task; ties count half.

    :param first: scores of the runs with which the others are compared
    :param second: scores on the same tasks
    :return: the mean over tasks of the Mann-Whitney U statistic by the number of pairs, shape ``()`` or ``(samples,)``
    """
    return np.asarray(np.mean([_compare_pairs(a, b) for a, b in zip(first, second, strict=True)], axis=0))


def compute_profile(scores: Scores, thresholds: Array) -> Array:
    """
    :param scores: at least one score for each task
    :param thresholds: shape ``(n,)``
    :return: the share of scores above each threshold, shape ``(n,)`` or ``(samples, n)``
    """
    return np.asarray((np.concatenate(scores, axis=-1)[..., None] > thresholds).mean(axis=-2))


def bootstrap_interval95(
    statistic: Callable[..., Array], *samples: Scores, repetitions: int = REPETITIONS
) -> tuple[Array, Array]:
    """
    The 95 % percentile interval of a statistic, by a stratified bootstrap. It is always the same for the same scores.

    :param statistic: a function of as many scores as there are samples, which it takes with ``repetitions`` samples at
        once
    :param samples: scores of shape ``(runs,)``, which are resampled independently
    :param repetitions: number of resamples
    :return: lower and upper end, shape ``()`` or ``(n,)``
    """
    generator = np.random.default_rng(_SEED)
    resampled = [
        [values[generator.integers(len(values), size=(repetitions, len(values)))] for values in scores]
        for scores in samples
    ]
    low, high = np.percentile(statistic(*resampled), (2.5, 97.5), axis=0)
    return low, high


def bootstrap_iqm_band(curves: Array, repetitions: int = 500) -> Array:
    """
    :param curves: one row for each run, shape ``(runs, n)``
    :param repetitions: number of resamples
    :return: the 95 % interval of the interquartile mean at each point, shape ``(2, n)``
    """
    generator = np.random.default_rng(_SEED)
    chosen = generator.integers(len(curves), size=(repetitions, len(curves)))
    return np.asarray(np.percentile([compute_iqm(curves[rows], axis=0) for rows in chosen], (2.5, 97.5), axis=0))


def compute_chance_of_separation(first_count: int, second_count: int) -> float:
    """
    :param first_count: number of runs
    :param second_count: number of other runs that are no better or worse
    :return: the probability that all runs of one of them are better than all of the other, by chance
    """
    return min(1.0, 2 / math.comb(first_count + second_count, first_count))


def _compare_pairs(first: Array, second: Array) -> Array:
    difference = second[..., :, None] - first[..., None, :]
    return np.asarray((0.5 + 0.5 * np.sign(difference)).mean(axis=(-2, -1)))
