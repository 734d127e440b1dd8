"""Environments of EnvPool."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from sb3_ext.config import load_config
from sb3_ext.errors import ConfigError
from sb3_ext.vec import GymnasiumVecEnv
from sb3_ext.vec.vector_envs.pool_vector_env import make_pool_vector_env

pytestmark = pytest.mark.slow  # EnvPool is large, so only `tox -e slow` installs it


def walk(env: GymnasiumVecEnv, seed: int, actions: list[int], steps: int = 30) -> list[Any]:
    env.seed(seed)
    found = [env.reset()]
    for _ in range(steps):
        observations, _, dones, infos = env.step(np.array(actions))
        found.append(observations)
        for index in np.flatnonzero(dones):
            assert infos[index]["elapsed_step"] > 7
            assert np.abs(infos[index]["terminal_observation"][2]) > 0.2  # the angle at which the pole has fallen
            assert np.abs(observations[index]).max() <= 0.05
            assert env.reset_infos[index] == {"elapsed_step": 0}
    return [observations.tolist() for observations in found]


def test_pools_reset_in_the_same_step_and_repeat_a_seed() -> None:
    env = GymnasiumVecEnv(make_pool_vector_env("CartPole-v1", 3, {"num_threads": 1}))
    first = walk(env, 1, [0, 1, 0])
    assert walk(env, 1, [0, 1, 0]) == first
    assert walk(env, 2, [0, 1, 0]) != first
    assert walk(env, 2, [0, 1, 0])[0][0] == first[0][1]  # the seed belongs to the index
    env.close()


def test_time_limits_truncate() -> None:
    env = GymnasiumVecEnv(make_pool_vector_env("Pendulum-v1", 2, {"max_episode_steps": 5}))
    env.reset()
    for step in range(1, 11):
        _, _, dones, infos = env.step(np.zeros((2, 1)))
        assert dones.all() == (step % 5 == 0)
        assert infos[0]["TimeLimit.truncated"] == (step % 5 == 0)
    env.close()


def test_unknown_tasks_are_reported() -> None:
    parallel = {"mode": "gymnasium", "params": {"vectorization_mode": "envpool"}}
    with pytest.raises(ConfigError, match=r"env.id: EnvPool has no environment 'Pon-v5'; did you mean 'Pong-v5'\?"):
        load_config({"env": {"id": "Pon-v5"}, "parallel": parallel, "agent": {"id": "ppo"}})
