"""A space survives as JSON, and a hostile description makes an error, not a space."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
from gymnasium import spaces

from sb3_ext.checkpoints.formats.space_json import describe_space, make_space
from sb3_ext.errors import CheckpointError


@pytest.mark.parametrize(
    "space",
    [
        spaces.Box(-np.inf, np.inf, (4,)),
        spaces.Box(np.array([-1, -2.5], np.float32), np.array([1, np.inf], np.float32)),
        spaces.Box(0, 255, (4, 4, 3), np.uint8),
        spaces.Box(-1, 1, (), np.float64),
        spaces.Box(0, 2**63 - 1, (2,), np.int64),
        spaces.Discrete(3),
        spaces.Discrete(3, start=-1),
        spaces.MultiDiscrete([2, 3]),
        spaces.MultiDiscrete([[2, 3], [4, 5]], start=[[1, 0], [0, 0]]),
        spaces.MultiBinary(4),
        spaces.MultiBinary([2, 3]),
        spaces.Dict([("z", spaces.Box(0, 1, (2,))), ("a", spaces.Discrete(2))]),
    ],
    ids=str,
)
def test_a_space_is_restored_from_strict_json(space: spaces.Space[Any]) -> None:
    text = json.dumps(describe_space(space), allow_nan=False)

    made = make_space(json.loads(text))

    assert made == space
    assert made.dtype == space.dtype
    if isinstance(space, spaces.Dict):
        assert isinstance(made, spaces.Dict)
        assert list(made) == list(space)


BOX = {"type": "Box", "dtype": "float32", "shape": [2], "low": 0, "high": 1}


@pytest.mark.parametrize(
    "description",
    [
        None,
        [],
        {},
        {"type": "Box"},
        {"type": "Tuple"},
        {"type": ["Box"]},
        {**BOX, "dtype": "object"},
        {**BOX, "dtype": "O8"},
        {**BOX, "dtype": None},
        {**BOX, "shape": [-1]},
        {**BOX, "shape": [2**40]},
        {**BOX, "shape": [2**20, 2**20]},
        {**BOX, "shape": "2"},
        {**BOX, "low": "__import__('os')"},
        {**BOX, "low": [0]},
        {**BOX, "low": {}},
        {"type": "Discrete", "dtype": "int64", "n": 0, "start": 0},
        {"type": "Discrete", "dtype": "int64", "n": 2**60, "start": 0},
        {"type": "Discrete", "dtype": "float32", "n": 2, "start": 0},
        {"type": "MultiDiscrete", "dtype": "int64", "nvec": [2**62, 2**62], "start": [0, 0]},
        {"type": "MultiDiscrete", "dtype": "int64", "nvec": ["x"], "start": [0]},
        {"type": "MultiBinary", "n": [2**20, 2**20]},
        {"type": "Dict", "spaces": []},
        {"type": "Dict", "spaces": {"a": {"type": "Dict", "spaces": {}}}},
    ],
    ids=str,
)
def test_an_invalid_description_is_an_error_of_one_line(description: Any) -> None:
    with pytest.raises(CheckpointError) as caught:
        make_space(description)

    assert "\n" not in str(caught.value)
