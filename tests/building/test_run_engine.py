"""How long a training is thought to be, when its engine is chosen."""

from __future__ import annotations

from typing import Any

import pytest

from sb3_ext.building.run_engine import estimate_steps
from sb3_ext.config.train_schema import TrainConfig


@pytest.mark.parametrize(
    ("bounds", "steps"),
    [
        ({}, 10_000),
        ({"total_steps": 500, "duration": "1h"}, 500),
        ({"total_episodes": 3}, 600),
        ({"duration": "2s"}, 2_000),
        ({"total_steps": 10**9, "total_episodes": 10, "duration": "1h"}, 2_000),
    ],
)
def test_the_lowest_bound_counts(bounds: dict[str, Any], steps: int) -> None:
    assert estimate_steps(TrainConfig.model_validate(bounds)) == steps
