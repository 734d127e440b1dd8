"""LightVecNormalize gives the same results as VecNormalize, bit for bit."""

from __future__ import annotations

import pickle
from typing import Any

import gymnasium
import numpy as np
import pytest
from gymnasium import spaces
from stable_baselines3.common.running_mean_std import RunningMeanStd
from stable_baselines3.common.vec_env import DummyVecEnv, VecNormalize

from sb3_ext.vec.light_vec_normalize import LightVecNormalize, update_statistics
from sb3_ext.vec.snapshots.vec_snapshots import get_vec_snapshot, set_vec_snapshot

SPACES = {
    "box": spaces.Box(-9, 9, (3, 2), np.float32),
    "float64": spaces.Box(-9, 9, (5,), np.float64),
    "dict": spaces.Dict({"place": spaces.Box(-9, 9, (3,)), "kind": spaces.Discrete(4)}),
}


class NoiseEnv(gymnasium.Env[Any, Any]):
    """
    Observes and rewards random numbers in episodes of seven steps.

    :param space: name of its observation space
    """

    action_space = spaces.Discrete(2)

    def __init__(self, space: str) -> None:
        self.observation_space = SPACES[space]
        self.steps = 0

    def reset(self, *, seed: int | None = None, options: Any = None) -> tuple[Any, dict[str, Any]]:
        if seed is not None:
            self.observation_space.seed(seed)
        super().reset(seed=seed)
        return self.observation_space.sample(), {}

    def step(self, action: Any) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        self.steps += 1
        return self.observation_space.sample(), float(self.np_random.normal()), self.steps % 7 == 0, False, {}


def make_envs(kind: type[VecNormalize], space: str, **arguments: Any) -> VecNormalize:
    if space == "dict":
        arguments["norm_obs_keys"] = ["place"]
    env = kind(DummyVecEnv([lambda: NoiseEnv(space)] * 3), clip_obs=1.5, **arguments)
    env.seed(4)
    return env


def flatten(value: Any) -> list[bytes | str]:
    """:return: all arrays as bytes, everything else as text"""
    if isinstance(value, dict):
        return [part for key in value for part in (str(key), *flatten(value[key]))]
    if isinstance(value, list | tuple):
        return [part for item in value for part in flatten(item)]
    return [value.tobytes(), str(value.dtype)] if isinstance(value, np.ndarray) else [str(value)]


@pytest.mark.parametrize("arguments", [{}, {"training": False}, {"norm_obs": False}, {"norm_reward": False}])
@pytest.mark.parametrize("space", SPACES)
def test_steps_and_statistics_equal_those_of_vec_normalize(space: str, arguments: dict[str, Any]) -> None:
    results = []
    for kind in (LightVecNormalize, VecNormalize):
        SPACES[space].seed(0)
        env = make_envs(kind, space, **({} if space == "dict" and "norm_obs" in arguments else arguments))
        found = [env.reset(), *(env.step(np.zeros(3, int)) for _ in range(20))]
        results.append([*flatten(found), *flatten(vars(env.ret_rms)), *flatten(env.returns)])
        results[-1] += flatten([env.get_original_obs(), env.get_original_reward()])
    assert results[0] == results[1]


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.uint8])
@pytest.mark.parametrize("shape", [(1,), (7,), (8, 4), (32, 3, 5), (200, 17)])
def test_statistics_have_the_same_bits(shape: tuple[int, ...], dtype: Any) -> None:
    found, expected = RunningMeanStd(shape=shape[1:]), RunningMeanStd(shape=shape[1:])
    generator = np.random.default_rng(0)
    for _ in range(10):
        values = (100 * generator.random(shape)).astype(dtype)
        update_statistics(found, values)
        expected.update(values)
    assert flatten(vars(found)) == flatten(vars(expected))


def test_it_is_pickled_as_a_vec_normalize() -> None:
    env = make_envs(LightVecNormalize, "box")
    env.reset()
    assert b"sb3_ext" not in pickle.dumps(env)
    loaded = pickle.loads(pickle.dumps(env))
    assert type(loaded) is VecNormalize
    assert (loaded.obs_rms.mean == env.obs_rms.mean).all()


def test_snapshots_of_vec_normalize_fit() -> None:
    saved, restored = make_envs(VecNormalize, "box"), make_envs(LightVecNormalize, "box")
    saved.reset()
    saved.step(np.zeros(3, int))
    set_vec_snapshot(restored, get_vec_snapshot(saved))
    assert flatten(vars(restored.obs_rms)) == flatten(vars(saved.obs_rms))
