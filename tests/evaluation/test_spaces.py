"""A model and an environment that do not fit: said how."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from gymnasium import spaces

from sb3_ext.errors import CheckpointError
from sb3_ext.evaluation.space_check import check_spaces

VECTOR = spaces.Box(-1, 1, (4,), np.float32)
IMAGE = spaces.Box(0, 255, (3, 64, 64), np.uint8)


def make_pair(
    observations: tuple[spaces.Space, spaces.Space], actions: tuple[spaces.Space, spaces.Space]
) -> tuple[Any, Any]:
    model, env = (
        SimpleNamespace(observation_space=observation, action_space=action)
        for observation, action in zip(observations, actions, strict=True)
    )
    return model, env


def test_equal_spaces_fit() -> None:
    check_spaces(*make_pair((VECTOR, spaces.Box(-1, 1, (4,), np.float32)), (spaces.Discrete(2), spaces.Discrete(2))))


@pytest.mark.parametrize(
    ("observations", "actions", "message"),
    [
        (
            (VECTOR, spaces.Box(-1, 1, (3,), np.float32)),
            (spaces.Discrete(2), spaces.Discrete(2)),
            "observations: the model has Box(-1.0, 1.0, (4,), float32), "
            "the environment has Box(-1.0, 1.0, (3,), float32)",
        ),
        (
            (VECTOR, VECTOR),
            (spaces.Discrete(2), spaces.Discrete(3)),
            "actions: the model has Discrete(2), the environment has Discrete(3)",
        ),
        (
            (VECTOR, IMAGE),
            (spaces.Discrete(2), VECTOR),
            "observations: the model has Box(-1.0, 1.0, (4,), float32), "
            "the environment has Box(0, 255, (3, 64, 64), uint8); "
            "actions: the model has Discrete(2), the environment has Box(-1.0, 1.0, (4,), float32)",
        ),
        (
            (
                spaces.Dict({"position": VECTOR, "camera": IMAGE, "same": VECTOR}),
                spaces.Dict({"position": IMAGE, "lidar": VECTOR, "same": VECTOR}),
            ),
            (VECTOR, VECTOR),
            "observations: the environment has no 'camera'; observations: the model does not have 'lidar'; "
            "observations['position']: the model has Box(-1.0, 1.0, (4,), float32), "
            "the environment has Box(0, 255, (3, 64, 64), uint8)",
        ),
    ],
)
def test_differences_are_named(observations: Any, actions: Any, message: str) -> None:
    with pytest.raises(CheckpointError) as error:
        check_spaces(*make_pair(observations, actions))
    assert str(error.value) == f"the model does not fit the environment: {message}"
