"""What a VecNormalize knows survives to the bit, without a pickle."""

from __future__ import annotations

import io
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
from gymnasium import spaces
from stable_baselines3.common.env_util import make_vec_env
from stable_baselines3.common.vec_env import DummyVecEnv, VecEnv, VecNormalize

from sb3_ext.checkpoints.formats.arrays import read_arrays, write_arrays
from sb3_ext.checkpoints.formats.vecnormalize_file import (
    capture_normalization,
    restore_normalization,
)
from sb3_ext.errors import CheckpointError


class DictEnv(gym.Env[dict[str, np.ndarray], np.ndarray]):
    observation_space = spaces.Dict({"a": spaces.Box(-1, 1, (2,)), "b": spaces.Box(-1, 1, (3,))})
    action_space = spaces.Box(-1, 1, (1,))

    def reset(self, *, seed: int | None = None, options: Any = None) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
        super().reset(seed=seed)
        return self.observation_space.sample(), {}

    def step(self, action: np.ndarray) -> tuple[dict[str, np.ndarray], float, bool, bool, dict[str, Any]]:
        return self.observation_space.sample(), float(action[0]), False, False, {}


def make_flat() -> VecEnv:
    return make_vec_env("CartPole-v1", 2, seed=3)


def make_dicts() -> VecEnv:
    return DummyVecEnv([DictEnv, DictEnv])


def play(env: VecEnv, steps: int) -> list[Any]:
    env.action_space.seed(steps)
    return [env.step(np.array([env.action_space.sample() for _ in range(env.num_envs)]))[1] for _ in range(steps)]


def make_played(venv: VecEnv, **keywords: Any) -> VecNormalize:
    normalize = VecNormalize(venv, **keywords)
    normalize.reset()
    play(normalize, 30)
    return normalize


def through_a_file(arrays: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    file = io.BytesIO()
    write_arrays(file, arrays)
    return dict(read_arrays(file))


@pytest.mark.parametrize(
    ("make", "keywords"),
    [
        (make_flat, {}),
        (make_flat, {"norm_obs": False, "gamma": 0.9}),
        (make_flat, {"norm_reward": False, "clip_obs": 3.5, "epsilon": 1e-4}),
        (make_dicts, {}),
        (make_dicts, {"norm_obs_keys": ["b"]}),
    ],
)
def test_statistics_returns_and_configuration_are_restored(make: Any, keywords: dict[str, Any]) -> None:
    original = make_played(make(), **keywords)
    arrays = through_a_file(capture_normalization(original))

    made = VecNormalize(make(), norm_obs=original.norm_obs, norm_obs_keys=original.norm_obs_keys)
    restore_normalization(made, arrays)

    again = capture_normalization(made)
    assert again.keys() == arrays.keys()
    for name, array in arrays.items():
        np.testing.assert_array_equal(again[name], array, err_msg=name)
    assert made.returns.tolist() == original.returns.tolist()
    assert vars(made).keys() == vars(original).keys() - {"old_obs"}


def test_captured_statistics_do_not_change_with_training() -> None:
    normalize = make_played(make_flat())
    arrays = capture_normalization(normalize)
    before = {name: array.copy() for name, array in arrays.items()}

    play(normalize, 5)

    for name, array in before.items():
        np.testing.assert_array_equal(arrays[name], array)


def test_returns_are_not_restored_for_another_number_of_environments() -> None:
    arrays = capture_normalization(make_played(make_flat()))

    made = VecNormalize(make_vec_env("CartPole-v1", 3))
    restore_normalization(made, arrays)

    assert made.returns.tolist() == [0.0] * 3


def test_other_observations_are_refused_and_nothing_is_changed() -> None:
    arrays = capture_normalization(make_played(make_flat()))
    other = make_played(make_vec_env("Pendulum-v1", 2, seed=1))
    before = capture_normalization(other)

    with pytest.raises(CheckpointError, match=r"observations has shape \(4,\), expected \(3,\)"):
        restore_normalization(other, arrays)

    for name, array in capture_normalization(other).items():
        np.testing.assert_array_equal(array, before[name])


def test_other_keys_are_refused() -> None:
    arrays = capture_normalization(make_played(make_flat()))

    with pytest.raises(CheckpointError, match="has statistics of"):
        restore_normalization(make_played(make_dicts()), arrays)


@pytest.mark.parametrize("configuration", ["", "[]", "{}", '{"norm_obs": true}', "__import__('os')"])
def test_another_configuration_is_refused_and_nothing_is_changed(configuration: str) -> None:
    arrays = capture_normalization(make_played(make_flat()))
    normalize = VecNormalize(make_flat())

    with pytest.raises(CheckpointError, match="no usable configuration"):
        restore_normalization(normalize, {**arrays, "configuration": np.array(configuration)})

    assert normalize.obs_rms.mean.tolist() == [0.0] * 4
