"""Choose the policy for an observation, and refuse what does not fit."""

from __future__ import annotations

import gymnasium
import numpy as np
import pytest
from gymnasium import spaces
from stable_baselines3.common.vec_env import DummyVecEnv

from sb3_ext.algorithms.algorithm_registry import get_algorithm
from sb3_ext.algorithms.policies import choose_policy, validate_fit
from sb3_ext.errors import ConfigError

FLAT = spaces.Box(-1, 1, (3,), np.float32)
IMAGE = spaces.Box(0, 255, (36, 36, 3), np.uint8)
DICT = spaces.Dict({"a": FLAT})


@pytest.mark.parametrize(
    ("algorithm", "space", "policy"),
    [
        ("ppo", FLAT, "MlpPolicy"),
        ("ppo", spaces.Discrete(4), "MlpPolicy"),
        ("dqn", IMAGE, "CnnPolicy"),
        ("sac", DICT, "MultiInputPolicy"),
        ("recurrent_ppo", FLAT, "MlpLstmPolicy"),
        ("recurrent_ppo", IMAGE, "CnnLstmPolicy"),
        ("ars", FLAT, "MlpPolicy"),
    ],
)
def test_the_policy_follows_from_the_observation(algorithm: str, space: spaces.Space, policy: str) -> None:
    assert choose_policy(get_algorithm(algorithm), space) == policy


def test_an_algorithm_without_a_policy_for_images_is_refused() -> None:
    with pytest.raises(ConfigError, match="ars has no policy for an image observation; it has MlpPolicy, LinearPolicy"):
        choose_policy(get_algorithm("ars"), IMAGE)


@pytest.mark.parametrize(
    ("algorithm", "policy", "env_id", "message"),
    [
        ("dqn", "MlpPolicy", "Pendulum-v1", "dqn acts in Discrete spaces, but .* Box.*agent.id could be ppo, a2c, sac"),
        ("sac", "MlpPolicy", "CartPole-v1", "sac acts in Box spaces, but .*Discrete\\(2\\); agent.id could be ppo"),
        ("ppo", "MlpPolici", "CartPole-v1", "ppo has no policy 'MlpPolici'; did you mean 'MlpPolicy'"),
        ("maskable_ppo", "MlpPolicy", "CartPole-v1", "maskable_ppo needs an environment with a method action_masks"),
    ],
)
def test_policies_and_spaces_that_do_not_fit_are_refused(
    algorithm: str, policy: str, env_id: str, message: str
) -> None:
    env = DummyVecEnv([lambda: gymnasium.make(env_id)])
    with pytest.raises(ConfigError, match=message):
        validate_fit(get_algorithm(algorithm), policy, env)
    env.close()


def test_policies_and_spaces_that_fit_are_accepted() -> None:
    env = DummyVecEnv([lambda: gymnasium.make("CartPole-v1")])
    validate_fit(get_algorithm("dqn"), "MlpPolicy", env)
    validate_fit(get_algorithm("dqn"), "my_package:MyPolicy", env)
    env.close()
