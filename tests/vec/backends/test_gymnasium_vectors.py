"""Configurations of ``parallel.mode: gymnasium``."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from stable_baselines3.common.vec_env import VecMonitor

from sb3_ext.building.parallel import make_configured_backend
from sb3_ext.building.training_environments import make_environment_factory
from sb3_ext.config import load_config
from sb3_ext.errors import ConfigError

COUNTING: dict[str, Any] = {
    "env": {"id": "counting_vector_env:CountingVector-v0"},
    "parallel": {"mode": "gymnasium", "num_envs": 2},
    "agent": {"id": "ppo"},
}


def problems_of(*overrides: str) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        load_config(COUNTING, overrides)
    return [problem.partition(": ")[2] for problem in caught.value.problems]


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (
            ["parallel.mode=sequential"],
            "env.id: 'counting_vector_env:CountingVector-v0' exists only as a vector environment: set parallel.mode: ",
        ),
        (["parallel.mode=auto"], "env.id: 'counting_vector_env:CountingVector-v0' exists only as a vector environment"),
        (["env.id=CartPol-v1"], "env.id: unknown environment 'CartPol-v1'; did you mean 'CartPole-v1'?"),
        (["env.id=counting_vector_env:missing"], "env.id: unknown environment 'counting_vector_env:missing'"),
        (["env.params.first_lengt=3"], "env.params.first_lengt: unknown parameter; did you mean 'first_length'?"),
        (["env.params.num_envs=3"], "env.params.num_envs: cannot be set here; it is parallel.num_envs"),
        (
            ["env.id=counting_vector_env:make_counting_envs", "env.params.lenght=3"],
            "env.params.lenght: unknown parameter; did you mean 'length'?",
        ),
        (
            ["env.wrappers=[gymnasium.wrappers.ClipReward]"],
            "env.wrappers.0: gymnasium.wrappers.ClipReward is not a gymnasium.vector.VectorWrapper: vectorization_mode",
        ),
        (
            [
                "env.id=CartPole-v1",
                "parallel.params.vectorization_mode=sync",
                "env.wrappers=[gymnasium.wrappers.vector.ClipReward]",
            ],
            "env.wrappers.0: gymnasium.wrappers.vector.ClipReward is not a gymnasium.Wrapper: vectorization_mode sync",
        ),
        (
            ["parallel.params.vectorization_mode=synk"],
            "parallel.params.vectorization_mode: expected one of sync, async, vector_entry_point, envpool or null",
        ),
        (["parallel.params.vector_kwargs={copy: false}"], "parallel.params.vector_kwargs: 'counting_vector_env:"),
        (
            ["env.id=Pendulum-v1", "parallel.params.vectorization_mode=vector_entry_point"],
            "env.id: 'Pendulum-v1' has no vector_entry_point; set parallel.params.vectorization_mode: sync",
        ),
    ],
)
def test_mistakes_are_reported(overrides: list[str], message: str) -> None:
    (problem,) = problems_of(*overrides)
    assert problem.startswith(message)


def make(*overrides: str) -> VecMonitor:
    config = load_config(COUNTING, overrides)
    factory = make_environment_factory(config.require_env("this test"))
    env = make_configured_backend(config.parallel).make_env(factory, seed=1)
    assert isinstance(env, VecMonitor)
    return env


def test_functions_and_wrappers_make_vector_environments() -> None:
    env = make(
        "env.id=counting_vector_env:make_counting_envs",
        "env.params.length=4",
        "env.wrappers=[{gymnasium.wrappers.vector.ClipReward: {min_reward: 0.5}}]",
    )
    env.reset()
    assert env.get_attr("lengths")[0].tolist() == [4, 5]
    assert env.step(np.array([0, 0]))[1].tolist() == [0.5, 0.5]


def test_sync_makes_environments_with_their_limits_and_wrappers() -> None:
    env = make("env.id=CartPole-v1", "env.max_steps=3", "parallel.params.vectorization_mode=sync")
    env.reset()
    ends = [env.step(np.array([0, 1]))[2].all() for _ in range(6)]
    assert ends == [False, False, True, False, False, True]


def test_unusable_vector_environments_are_refused_in_one_line() -> None:
    with pytest.raises(ConfigError) as caught:
        make("env.params.autoreset=NEXT_STEP")
    [problem] = caught.value.problems
    assert problem.startswith(
        "env.id: 'counting_vector_env:CountingVector-v0' cannot be made: CountingVectorEnv has AutoresetMode.NEXT_STEP"
    )
