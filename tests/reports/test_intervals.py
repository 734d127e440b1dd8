"""Student's t interval, against the printed tables; Wilson's, against its own equation."""

from __future__ import annotations

import math

import numpy as np
import pytest

from sb3_ext.reports.intervals import compute_interval95, compute_t95, compute_wilson_interval95


@pytest.mark.parametrize(
    ("degrees_of_freedom", "quantile"),
    [(1, 12.706), (2, 4.303), (3, 3.182), (4, 2.776), (5, 2.571), (9, 2.262), (30, 2.042), (99, 1.984), (5000, 1.960)],
)
def test_quantiles_are_the_printed_ones(degrees_of_freedom: int, quantile: float) -> None:
    assert compute_t95(degrees_of_freedom) == pytest.approx(quantile, abs=5e-4)


def test_interval_of_a_worked_example() -> None:
    # mean 3, s = sqrt(2.5), t(4) = 2.776
    assert compute_interval95([1, 2, 3, 4, 5]) == pytest.approx((3 - 1.9632, 3 + 1.9632), abs=1e-3)


def test_interval_covers_the_true_mean_in_95_of_100_samples() -> None:
    samples = np.random.default_rng(0).normal(10.0, 3.0, size=(2000, 5))
    intervals = [compute_interval95(sample) for sample in samples.tolist()]
    covered = np.mean([interval is not None and interval[0] <= 10.0 <= interval[1] for interval in intervals])
    assert covered == pytest.approx(0.95, abs=0.015)


def test_one_value_has_no_interval() -> None:
    assert compute_interval95([1.0]) is None


def test_infinite_values_give_nan() -> None:
    interval = compute_interval95([math.inf, 1.0])
    assert interval is not None
    assert math.isnan(interval[0])


@pytest.mark.parametrize(("proportion", "count"), [(0.5, 10), (0.9, 1000), (0.0, 50), (1.0, 50), (0.33, 7)])
def test_ends_of_wilsons_interval_are_1_96_standard_errors_of_their_own_away(proportion: float, count: int) -> None:
    low, high = compute_wilson_interval95(proportion, count)
    assert 0 <= low <= proportion <= high <= 1
    for end in {low, high} - {0.0, 1.0, proportion}:
        assert abs(proportion - end) == pytest.approx(1.959964 * math.sqrt(end * (1 - end) / count), rel=1e-5)


def test_wilsons_interval_of_a_perfect_score_has_width() -> None:
    assert compute_wilson_interval95(1.0, 1000) == pytest.approx((0.99617, 1.0), abs=1e-5)
    assert compute_wilson_interval95(0.0, 0) == (0, 1)


def test_values_outside_0_to_1_have_no_interval() -> None:
    with pytest.raises(ValueError, match="but got 2"):
        compute_wilson_interval95(2, 10)
