"""What a trial is worth."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from sb3_ext.tuning.objective import judge_area, judge_best, judge_last, judge_time_to_target
from sb3_ext.tuning.plan import TuningPlan

EVALUATIONS = [(20, 10.0), (60, 50.0), (100, 30.0)]


@pytest.mark.parametrize(
    ("judge", "changes", "value"),
    [
        (judge_last, {"tune__last_evaluations": 2}, 40.0),
        (judge_last, {"tune__last_evaluations": 5}, 30.0),
        (judge_best, {}, 50.0),
        # 20 steps at 10, 40 from 10 to 50, 40 from 50 to 30, and 28 at 30: the training has 128.
        (judge_area, {}, (20 * 10 + 40 * 30 + 40 * 40 + 28 * 30) / 128),
        (judge_time_to_target, {"tune__target": 30}, 60.0),
        (judge_time_to_target, {"early_stopping": {"target": {"return": 10}}}, 20.0),
        (judge_time_to_target, {"tune__target": 51}, 256.0),
    ],
)
def test_judges(make_plan_here: Callable[..., TuningPlan], judge: Any, changes: dict[str, Any], value: float) -> None:
    assert judge(make_plan_here(**changes), EVALUATIONS) == pytest.approx(value)
