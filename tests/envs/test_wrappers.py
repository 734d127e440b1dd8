"""The wrappers for RL Zoo's hyperparameters."""

from __future__ import annotations

import gymnasium
import numpy as np
import pytest
from sb3_ext_envs.wrappers import FrameSkip, VelocityMask


def test_frame_skip_repeats_the_action_and_adds_up_rewards_until_the_episode_ends() -> None:
    env = FrameSkip(gymnasium.make("CartPole-v1"), skip=3)
    plain = gymnasium.make("CartPole-v1")
    env.reset(seed=2)
    plain.reset(seed=2)
    rewards = []
    terminated = False
    while not terminated:
        observation, reward, terminated, _, _ = env.step(1)
        rewards.append(reward)
    steps = [plain.step(1) for _ in range(int(sum(map(float, rewards))))]
    np.testing.assert_array_equal(observation, steps[-1][0])
    assert [step[2] for step in steps] == [False] * (len(steps) - 1) + [True]
    assert set(rewards[:-1]) == {3.0}


def test_velocities_are_masked() -> None:
    env = VelocityMask(gymnasium.make("CartPole-v1"))
    plain, _ = gymnasium.make("CartPole-v1").reset(seed=2)
    masked, _ = env.reset(seed=2)
    np.testing.assert_array_equal(masked, [plain[0], 0, plain[2], 0])


def test_an_environment_without_known_velocities_is_refused() -> None:
    with pytest.raises(ValueError, match="the velocities of Acrobot are not known"):
        VelocityMask(gymnasium.make("Acrobot-v1"))
