"""
Confidence intervals: of a mean from few values, by Student's t distribution; of a proportion, by Wilson's score.

SciPy has both, but is large, and nothing else that every installation needs depends on it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import lru_cache
from statistics import NormalDist, fmean

import numpy as np

_Z95 = NormalDist().inv_cdf(0.975)


def compute_interval95(values: Sequence[float]) -> tuple[float, float] | None:
    """
    The two-sided 95 % confidence interval of the mean, mean ± t·s/√n with the unbiased standard deviation s.

    :param values: independent values
    :return: lower and upper end; ``None`` for fewer than two values, which say nothing about their spread
    """
    standard_error = compute_standard_error(values)
    if standard_error is None:
        return None
    mean = fmean(values)
    half_width = compute_t95(len(values) - 1) * standard_error
    return mean - half_width, mean + half_width


def compute_standard_error(values: Sequence[float]) -> float | None:
    """
    :param values: independent values
    :return: that of their mean, s/√n with the unbiased standard deviation s; ``None`` for fewer than two values
    """
    if len(values) < 2:
        return None
    with np.errstate(invalid="ignore"):  # infinite values give NaN, not a warning
        return float(np.std(values, ddof=1)) / math.sqrt(len(values))


def compute_wilson_interval95(proportion: float, count: float) -> tuple[float, float]:
    """
    The 95 % interval of a proportion: Wilson, Probable inference, the law of succession, and statistical inference,
    Journal of the American Statistical Association 22 (1927).

    :param proportion: what was found, in [0, 1]. The mean score of games with draws may stand here: its spread is
        smaller, so that the interval is, if anything, too wide
    :param count: how many trials it was found in
    :return: lower and upper end, within [0, 1]; (0, 1) if there was no trial
    :raises ValueError: if the proportion is none
    """
    if count == 0:
        return 0.0, 1.0
    if not 0 <= proportion <= 1:
        raise ValueError(f"proportion must be in [0, 1], but got {proportion}")
    scale = 1 + _Z95**2 / count
    center = (proportion + _Z95**2 / (2 * count)) / scale
    half_width = _Z95 / scale * math.sqrt(proportion * (1 - proportion) / count + _Z95**2 / (4 * count**2))
    return max(0.0, center - half_width), min(1.0, center + half_width)


@lru_cache(maxsize=256)
def compute_t95(degrees_of_freedom: int) -> float:
    """
    The t with P(|T| < t) = 0.95.

    Bisects the closed form of the distribution: Abramowitz and Stegun, Handbook of Mathematical Functions, 26.7.3
    and 26.7.4.

    :param degrees_of_freedom: one less than the number of values; positive
    :return: 12.706 for 1, 2.262 for 9, 1.984 for 99, …
    """
    low, high = 0.0, math.pi / 2
    while (angle := (low + high) / 2) not in (low, high):
        if _compute_probability_within(angle, degrees_of_freedom) < 0.95:
            low = angle
        else:
            high = angle
    return math.sqrt(degrees_of_freedom) * math.tan(angle)


def _compute_probability_within(angle: float, degrees_of_freedom: int) -> float:
    """P(|T| < √ν · tan(angle)) for ν degrees of freedom."""
    is_odd = degrees_of_freedom % 2
    term = math.cos(angle) if is_odd else 1.0
    series = 0.0 if degrees_of_freedom == 1 else term
    for power in range(2 + is_odd, degrees_of_freedom - 1, 2):
        term *= (power - 1) / power * math.cos(angle) ** 2
        series += term
    if is_odd:
        return 2 / math.pi * (angle + math.sin(angle) * series)
    return math.sin(angle) * series
