"""The step time, measured on a temporary environment."""

from __future__ import annotations

import random
import time
from typing import Any

import gymnasium
import numpy as np
import pytest
from gymnasium import spaces

from sb3_ext.advising.step_time import measure_step_seconds
from sb3_ext.interruption import Interruption, StopRequested


class Env(gymnasium.Env[np.ndarray, int]):
    """Episodes of seven steps; uses the global generators, and records its calls."""

    observation_space = spaces.Box(-1.0, 1.0, (1,))
    action_space = spaces.Discrete(3)

    def __init__(self, sleep_seconds: float = 0.0) -> None:
        self.sleep_seconds = sleep_seconds
        self.steps = self.resets = 0
        self.actions: set[int] = set()
        self.is_closed = False
        random.random()

    def reset(self, **arguments: Any) -> tuple[np.ndarray, dict[str, Any]]:
        self.resets += 1
        np.random.random()
        return np.zeros(1, np.float32), {}

    def step(self, action: int) -> tuple[np.ndarray, float, bool, bool, dict[str, Any]]:
        assert self.steps < 7 * self.resets, "stepped after the end of an episode"
        self.steps += 1
        self.actions.add(int(action))
        time.sleep(self.sleep_seconds)
        return np.zeros(1, np.float32), 0.0, self.steps % 7 == 0, False, {}

    def close(self) -> None:
        self.is_closed = True


class MaskedEnv(Env):
    def action_masks(self) -> np.ndarray:
        return np.array([0, 0, 1], dtype=bool)


def test_a_fast_environment_is_stepped_some_hundred_times() -> None:
    env = Env()
    assert 0 < measure_step_seconds(lambda: env, budget_seconds=1e9) < 1
    assert env.steps == 400
    assert env.resets == 58
    assert env.is_closed


def test_a_slow_environment_is_stepped_until_time_is_up() -> None:
    env = Env(sleep_seconds=0.05)
    assert measure_step_seconds(lambda: env, budget_seconds=0.01) >= 0.05
    assert env.steps == 1


def test_the_global_random_state_is_restored() -> None:
    random.seed(1)
    np.random.seed(1)
    expected = random.Random(1).random(), np.random.RandomState(1).random()
    measure_step_seconds(Env)
    assert (random.random(), np.random.random()) == expected


def test_only_legal_actions_are_taken() -> None:
    env = MaskedEnv()
    measure_step_seconds(lambda: env)
    assert env.actions == {2}


def test_a_failing_environment_is_closed() -> None:
    env = Env()
    env.step = lambda action: 1 / 0  # type: ignore[method-assign, return-value, assignment]
    with pytest.raises(ZeroDivisionError):
        measure_step_seconds(lambda: env)
    assert env.is_closed


def test_an_interruption_ends_it_before_the_next_step_and_closes_the_environment() -> None:
    env = Env()
    interruption = Interruption(lambda: "signal SIGTERM" if env.steps == 3 else None)
    with pytest.raises(StopRequested, match="signal SIGTERM"):
        measure_step_seconds(lambda: env, interruption=interruption)
    assert (env.steps, env.is_closed) == (3, True)
