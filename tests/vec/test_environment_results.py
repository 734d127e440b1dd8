"""Mistakes in an environment's ``reset`` and ``step``, which beginners make."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
import pytest
from gymnasium import spaces

import sb3_ext
from sb3_ext import ConfigError
from sb3_ext.building.training_environments import try_exactness
from sb3_ext.config import load_config
from sb3_ext.vec.environment_results import EnvironmentResultError
from sb3_ext.vec.sequential_vec_env import SequentialVecEnv

CONFIG = {
    "env": {"id": "Mistaken-v0"},
    "parallel": {"mode": "sequential"},
    "agent": {"id": "ppo", "device": "cpu", "threads": 1},
}
RIGHT = np.zeros(3, np.float32)
WRONG = np.zeros(4, np.float32)


class Mistaken(gymnasium.Env[Any, Any]):
    """Returns what it is told to."""

    observation_space = spaces.Box(-1.0, 1.0, (3,))
    action_space = spaces.Discrete(2)

    def __init__(self, step: Any = None, reset: Any = None) -> None:
        self._result = (RIGHT, 0.0, False, False, {}) if step is None else step
        self._reset = (RIGHT, {}) if reset is None else reset

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> Any:
        return self._reset

    def step(self, action: Any) -> Any:
        return self._result


class WithoutSeed(Mistaken):
    def reset(self) -> Any:  # type: ignore[override]
        return RIGHT, {}


def refuse(env_class: type[Mistaken], **params: Any) -> str:
    """:return: the message with which a training with such an environment is refused"""
    gymnasium.register("Mistaken-v0", lambda: env_class(**params))
    try:
        with pytest.raises(ConfigError) as caught:
            try_exactness(load_config(CONFIG))
    finally:
        del gymnasium.registry["Mistaken-v0"]
    message = str(caught.value)
    assert message.startswith("env.id: Mistaken-v0: ")
    return message.removeprefix("env.id: Mistaken-v0: ")


STEP = "return five values: observation, reward, terminated, truncated, info"


@pytest.mark.parametrize(
    ("params", "expected"),
    [
        (
            {"step": (RIGHT, 0.0, False, {})},
            f"step() returns a tuple of 4 values; {STEP}; "
            "this is the API of the old Gym: replace done by terminated and truncated",
        ),
        ({"step": RIGHT}, f"step() returns an array of shape (3,); {STEP}"),
        (
            {"step": (WRONG, 0.0, False, False, {})},
            "step() returns an array of shape (4,) as observation, but observation_space is "
            "Box(-1.0, 1.0, (3,), float32), of shape (3,); make the two equal",
        ),
        (
            {"step": (RIGHT, None, False, False, {})},
            "step() returns None as reward; return a number, such as float(reward)",
        ),
        (
            {"step": (RIGHT, RIGHT, False, False, {})},
            "step() returns an array of shape (3,) as reward; return a number, such as float(reward)",
        ),
        ({"step": (RIGHT, 0.0, {}, False, {})}, "step() returns an empty dict as terminated; return True or False"),
        (
            {"step": (RIGHT, 0.0, False, False, None)},
            "step() returns None as info; return a dict, which may be empty",
        ),
        (
            {"reset": RIGHT},
            "reset() returns an array of shape (3,); return two values: observation, info (a dict, which may be empty)",
        ),
        (
            {"reset": (WRONG, {})},
            "reset() returns an array of shape (4,) as observation, but observation_space is "
            "Box(-1.0, 1.0, (3,), float32), of shape (3,); make the two equal",
        ),
    ],
)
def test_a_training_is_refused_before_it_begins(params: dict[str, Any], expected: str) -> None:
    assert refuse(Mistaken, **params) == expected


def test_nothing_is_left_of_a_run_that_is_refused(tmp_path: Path) -> None:
    gymnasium.register("Mistaken-v0", lambda: Mistaken((RIGHT, 0.0, False, {})))
    try:
        with pytest.raises(ConfigError, match=r"env\.id: Mistaken-v0: step\(\) returns a tuple of 4 values"):
            sb3_ext.train(CONFIG, run_dir=tmp_path / "run")
    finally:
        del gymnasium.registry["Mistaken-v0"]
    assert not (tmp_path / "run").exists()


def test_a_reset_without_a_seed_is_refused() -> None:
    message = "reset() does not take a seed; define it as reset(self, *, seed=None, options=None)"
    assert refuse(WithoutSeed) == message


@pytest.mark.parametrize(
    "step",
    [
        (RIGHT, np.float64(1), np.True_, np.bool_(False), {}),
        (RIGHT.tolist(), 1, 0, np.array(False), {}),
        (RIGHT.astype(np.float64).reshape(1, 3), np.array(1.0), False, True, {}),
    ],
)
def test_what_trains_is_accepted(step: Any) -> None:
    gymnasium.register("Mistaken-v0", lambda: Mistaken(step))
    try:
        try_exactness(load_config(CONFIG))
    finally:
        del gymnasium.registry["Mistaken-v0"]
    env = SequentialVecEnv([lambda: Mistaken(step)])
    env.reset()
    env.step(np.array([0]))


def test_a_mistake_later_in_a_training_names_the_environment() -> None:
    late = (WRONG, 0.0, False, False, {})
    env = SequentialVecEnv([Mistaken, lambda: Mistaken(late)])
    env.reset()
    expected = r"^environment 1: step\(\) returns an array of shape \(4,\) as observation"
    with pytest.raises(EnvironmentResultError, match=expected):
        env.step(np.array([0, 0]))
