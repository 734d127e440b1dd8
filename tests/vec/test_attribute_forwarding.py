"""Wrappers that read attributes of the environment, although Gymnasium's wrappers are in between."""

from __future__ import annotations

import pickle
from collections.abc import Iterator
from typing import Any

import gymnasium
import numpy as np
import pytest
from gymnasium import spaces
from sb3_contrib.common.maskable.utils import get_action_masks
from stable_baselines3.common.env_util import make_vec_env
from stable_baselines3.common.monitor import Monitor

from sb3_ext import ConfigError
from sb3_ext.vec.attribute_forwarding import AttributeForwarding
from sb3_ext.vec.environment_factory import EnvironmentFactory

MASKER = "sb3_contrib.common.wrappers.ActionMasker"


class CountingEnv(gymnasium.Env[Any, Any]):
    """Has attributes of its own, and allows action 1 only."""

    observation_space = spaces.Box(-1.0, 1.0, (1,))
    action_space = spaces.Discrete(2)

    def __init__(self) -> None:
        self.speed = 1.0

    def find_legal(self) -> np.ndarray:
        return np.array([False, True])

    def find_legal_in(self, env: gymnasium.Env[Any, Any]) -> np.ndarray:
        assert env.unwrapped is self
        return self.find_legal()

    def reset(self, *, seed: int | None = None, options: Any = None) -> tuple[Any, dict[str, Any]]:
        super().reset(seed=seed)
        return np.zeros(1, np.float32), {}

    def step(self, action: Any) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        return np.zeros(1, np.float32), self.speed, False, False, {}


class SpeedWrapper(gymnasium.Wrapper[Any, Any, Any, Any]):
    """Reads and writes an attribute of the environment."""

    def __init__(self, env: gymnasium.Env[Any, Any]) -> None:
        super().__init__(env)
        self.env.speed = 2.0 * self.env.speed  # type: ignore[attr-defined]


class SumWrapper(gymnasium.Wrapper[Any, Any, Any, Any]):
    """Calls a method of the environment in every step."""

    def step(self, action: Any) -> tuple[Any, Any, bool, bool, dict[str, Any]]:
        observation, _, terminated, truncated, info = super().step(action)
        return observation, self.env.find_legal().sum(), terminated, truncated, info  # type: ignore[attr-defined]


@pytest.fixture(autouse=True)
def counting_env() -> Iterator[None]:
    gymnasium.register("Counting-v0", entry_point=CountingEnv, max_episode_steps=10)
    yield
    del gymnasium.registry["Counting-v0"]


@pytest.mark.parametrize("method", ["find_legal", "find_legal_in"])
def test_action_masker_takes_the_name_of_a_method_of_the_environment(method: str) -> None:
    wrappers = [("gymnasium.wrappers.ClipReward", {"max_reward": 9.0}), (MASKER, {"action_mask_fn": method})]
    env = make_vec_env(EnvironmentFactory("Counting-v0", max_steps=5, wrappers=wrappers), n_envs=2)
    assert get_action_masks(env).tolist() == [[False, True]] * 2
    env.close()


def test_attributes_are_forwarded_through_several_wrappers() -> None:
    wrappers = [
        (f"{__name__}:SpeedWrapper", {}),
        ("stable_baselines3.common.monitor:Monitor", {}),
        (f"{__name__}:SpeedWrapper", {}),
    ]
    env = EnvironmentFactory("Counting-v0", wrappers=wrappers)()
    assert env.unwrapped.speed == 4.0  # type: ignore[attr-defined]
    env.reset()
    assert env.step(1)[1] == 4.0
    env.set_wrapper_attr("speed", 8.0)
    assert env.unwrapped.speed == 8.0  # type: ignore[attr-defined]


def test_a_wrapper_calls_a_method_of_the_environment_in_each_step() -> None:
    env = EnvironmentFactory("Counting-v0", max_steps=5, wrappers=[(f"{__name__}:SumWrapper", {})])()
    env.reset()
    assert env.step(1)[1] == 1


def test_a_missing_attribute_is_an_error() -> None:
    env = AttributeForwarding(Monitor(gymnasium.make("CartPole-v1")))
    assert env.gravity == env.unwrapped.gravity  # type: ignore[attr-defined]
    env.mine = 1
    assert not hasattr(env.unwrapped, "mine")
    for name in ("missing", "_missing", "__missing__"):
        assert not hasattr(env, name)
    assert pickle.loads(pickle.dumps(AttributeForwarding(CountingEnv()))).speed == 1.0
    assert env.action_space == spaces.Discrete(2)


def test_the_error_of_a_wrapper_names_its_key() -> None:
    wrappers = [("gymnasium.wrappers.FlattenObservation", {}), (MASKER, {"action_mask_fn": "find_leagl"})]
    with pytest.raises(ConfigError, match=rf"^env\.wrappers\.1: {MASKER} cannot be put .*'find_leagl'") as caught:
        EnvironmentFactory("Counting-v0", wrappers=wrappers)()
    assert "\n" not in str(caught.value)
