"""The stopping rules, by table: the values that come in, and the first at which the rule is met."""

from __future__ import annotations

import json
import math
from typing import Any

import pytest

from sb3_ext.evaluation.convergence import ConvergenceRule, PlateauRule


def find_first_met(rule: Any, values: list[Any]) -> int | None:
    """:return: the number of values after which the rule is met for the first time"""
    for count, value in enumerate(values, start=1):
        if rule.update(*value) if isinstance(value, tuple) else rule.update(value):
            return count
    return None


@pytest.mark.parametrize(
    ("target", "window", "patience", "returns", "met_after"),
    [
        pytest.param(10, 1, 1, [9, 10], 2, id="reached exactly"),
        pytest.param(10, 3, 1, [99, 99, 10], 3, id="not before the window is full"),
        pytest.param(10, 2, 1, [0, 10, 10], 3, id="the window slides"),
        pytest.param(10, 1, 3, [10, 10, 9, 10, 10, 10], 6, id="patience restarts after a miss"),
        pytest.param(10, 2, 3, [10, 10, 10, 10], 4, id="window and patience together"),
        pytest.param(10, 2, 2, [20, 0, 20, 0], 3, id="the average counts, not each return"),
        pytest.param(10, 1, 2, [10, 9, 10, 9, 10, 9], None, id="never twice in a row"),
        pytest.param(-100, 2, 2, [-300, -90, -100, -110], None, id="negative target, held once"),
        pytest.param(-100, 2, 2, [-300, -90, -100, -99], 4, id="negative target"),
        pytest.param(0, 1, 1, [-0.001, 0.0], 2, id="target zero"),
        pytest.param(10, 1, 1, [math.nan, 10], 2, id="not a number is a miss"),
        pytest.param(10, 2, 1, [math.nan, 99, 99], 3, id="not a number leaves with the window"),
    ],
)
def test_convergence(target: float, window: int, patience: int, returns: list[float], met_after: int | None) -> None:
    assert find_first_met(ConvergenceRule(target, window, patience), returns) == met_after


@pytest.mark.parametrize(
    ("returns", "best_average"),
    [([5], None), ([5, 7], 6), ([5, 7, 1], 6), ([-9, -7, -5, -30], -6), ([math.nan, 1, 5], 3)],
)
def test_convergence_tracks_the_best_average_of_a_full_window(returns: list[float], best_average: float | None) -> None:
    rule = ConvergenceRule(1000, window=2)
    find_first_met(rule, returns)
    assert rule.best_average == best_average


@pytest.mark.parametrize(
    ("rule", "averages", "met_after"),
    [
        pytest.param({"patience": 2}, [1, 1, 1], 3, id="equal is no improvement"),
        pytest.param({"patience": 2}, [1, 1, 2, 2, 2], 5, id="an improvement restarts patience"),
        pytest.param({"patience": 2}, [5, 4, 3], 3, id="getting worse"),
        pytest.param({"patience": 2}, [1, 2, 3, 4, 5, 6], None, id="always better"),
        pytest.param({"patience": 2}, [-200, -150, -100, -50], None, id="always better, negative"),
        pytest.param({"patience": 2}, [-50, -100, -150], 3, id="always worse, negative"),
        pytest.param({"patience": 2}, [-1, 0, 1, 2], None, id="across zero"),
        pytest.param({"patience": 2, "min_delta": 10}, [0, 10, 9], 3, id="exactly min_delta is not enough"),
        pytest.param({"patience": 2, "min_delta": 10}, [-100, -89, -78], None, id="min_delta, negative"),
        pytest.param({"patience": 2, "min_delta": 10}, [-100, -91, -90], 3, id="too small, negative"),
        pytest.param({"patience": 3, "min_delta": 10}, [0, 6, 12, 18, 24], None, id="small steps add up"),
        pytest.param({"patience": 2, "warm_up": 4}, [5, 1, 1, 1, 1, 1], 6, id="warm-up does not count"),
        pytest.param({"patience": 2, "warm_up": 4}, [5, 1, 1, 1, 1, 6, 1, 1], 8, id="improvement after warm-up"),
        pytest.param({"patience": 1, "warm_up": 1}, [5, 5], 2, id="warm-up of one"),
        pytest.param({"patience": 2}, [5, math.nan, math.nan], 3, id="not a number is no improvement"),
        pytest.param({"patience": 2}, [math.nan, 5, 6, 7], None, id="a number improves on none"),
    ],
)
def test_plateau(rule: dict[str, Any], averages: list[float], met_after: int | None) -> None:
    assert find_first_met(PlateauRule(**rule), averages) == met_after


@pytest.mark.parametrize(
    ("averages", "met_after"),
    [
        pytest.param([(0, 1), (3, 1), (6, 1)], None, id="three errors better each time"),
        pytest.param([(0, 1), (2, 1), (1, 1)], 3, id="exactly two errors"),
        pytest.param([(0, 1), (3, 2), (3, 1.4)], None, id="the newest error counts"),
        pytest.param([(-50, 5), (-45, 5), (-41, 5)], 3, id="negative, within two errors"),
        pytest.param([(0, None), (1, None), (2, 0.0)], None, id="unknown counts as zero"),
    ],
)
def test_plateau_in_standard_errors(averages: list[Any], met_after: int | None) -> None:
    assert find_first_met(PlateauRule(2, min_delta=2, in_standard_errors=True), averages) == met_after


@pytest.mark.parametrize("split", range(8))
@pytest.mark.parametrize("make_rule", [lambda: ConvergenceRule(3, 2, 3), lambda: PlateauRule(3, 1.5, warm_up=2)])
def test_a_restored_rule_continues_as_if_never_interrupted(make_rule: Any, split: int) -> None:
    values = [1.0, 2.0, 4.0, 4.5, 4.0, 5.0, 3.0, 3.0]
    whole, first, second = make_rule(), make_rule(), make_rule()
    expected = [whole.update(value) for value in values]

    outcomes = [first.update(value) for value in values[:split]]
    second.load_state_dict(json.loads(json.dumps(first.state_dict())))
    outcomes += [second.update(value) for value in values[split:]]

    assert outcomes == expected
    assert any(expected)
    assert second.best_average == whole.best_average


@pytest.mark.parametrize(
    ("make_rule", "message"),
    [
        (lambda: ConvergenceRule(1, window=0), "window must be positive, but got 0"),
        (lambda: ConvergenceRule(1, patience=-1), "patience must be positive, but got -1"),
        (lambda: PlateauRule(patience=0), "patience must be positive, but got 0"),
        (lambda: PlateauRule(min_delta=-0.5), "min_delta cannot be negative, but got -0.5"),
        (lambda: PlateauRule(warm_up=-2), "warm_up cannot be negative, but got -2"),
    ],
)
def test_parameters_out_of_range(make_rule: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make_rule()
