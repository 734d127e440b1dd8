"""What sb3_ext.internals.sb3_rollouts relies on in Stable-Baselines3 and SB3-Contrib."""

from __future__ import annotations

from typing import Any

import gymnasium
import numpy as np
import pytest
from sb3_contrib import QRDQN
from stable_baselines3 import A2C, DQN, SAC
from stable_baselines3.common.buffers import DictReplayBuffer, ReplayBuffer
from stable_baselines3.common.off_policy_algorithm import OffPolicyAlgorithm
from stable_baselines3.common.vec_env import DummyVecEnv, VecNormalize

from sb3_ext.internals import sb3_rollouts


@pytest.fixture(scope="module")
def dqn() -> Any:
    env = VecNormalize(DummyVecEnv([lambda: gymnasium.make("CartPole-v1")]))
    arguments: dict[str, Any] = {"learning_starts": 3, "buffer_size": 20, "policy_kwargs": {"net_arch": [4]}}
    model = DQN("MlpPolicy", env, seed=0, **arguments)
    model.learn(6)
    return model


def test_the_last_observations_are_those_that_the_loop_uses(dqn: Any) -> None:
    assert sb3_rollouts.get_normalizer(dqn) is dqn.get_env()
    original = dqn.get_env().get_original_obs()
    np.testing.assert_array_equal(sb3_rollouts.get_last_original_observations(dqn), original)
    np.testing.assert_array_equal(sb3_rollouts.get_last_observations(dqn), dqn.get_env().normalize_obs(original))
    sb3_rollouts.set_last_observations(dqn, original)
    sb3_rollouts.set_last_original_observations(dqn, original + 1)
    assert sb3_rollouts.get_last_observations(dqn) is original
    place = dqn.replay_buffer.pos
    dqn.learn(1, reset_num_timesteps=False)
    np.testing.assert_array_equal(dqn.replay_buffer.observations[place], original + 1)


def test_episode_starts_are_those_that_the_loop_uses() -> None:
    model = A2C("MlpPolicy", "CartPole-v1", n_steps=2, policy_kwargs={"net_arch": [4]})
    model.learn(2)
    sb3_rollouts.set_last_episode_starts(model, ~sb3_rollouts.get_last_episode_starts(model))
    model.learn(2, reset_num_timesteps=False)
    assert model.rollout_buffer.episode_starts[:, 0].tolist() == [1.0, 0.0]


def test_a_step_counts_and_updates_what_the_loop_does(dqn: Any) -> None:
    calls, episodes = dqn._n_calls, dqn._episode_num
    assert sb3_rollouts.count_step(dqn) == dqn._n_calls == calls + 1
    assert sb3_rollouts.count_episode(dqn) == dqn._episode_num == episodes + 1
    sb3_rollouts.finish_step(dqn)
    assert dqn._n_calls == calls + 2
    dqn.num_timesteps = dqn._total_timesteps
    sb3_rollouts.update_progress(dqn)
    assert dqn._current_progress_remaining == 0
    sb3_rollouts.update_episode_statistics(dqn, [{"episode": {"r": 3.0, "l": 2}}], np.array([True]))
    assert dqn.ep_info_buffer[-1] == {"r": 3.0, "l": 2}


def test_actions_are_sampled_and_stored(dqn: Any) -> None:
    actions, stored = sb3_rollouts.sample_actions(dqn, 0, None, 1)
    assert actions.shape == stored.shape == (1,)
    place, observations = dqn.replay_buffer.pos, dqn.get_env().reset()
    row = (observations, np.ones(1, np.float32), np.array([False]), [{}])
    sb3_rollouts.store_transition(dqn, dqn.replay_buffer, stored, *row)
    assert dqn.replay_buffer.pos == place + 1
    assert sb3_rollouts.get_last_observations(dqn) is observations


def test_overridden_methods_are_noticed(dqn: Any) -> None:
    for name in (sb3_rollouts.SAMPLE_ACTION, sb3_rollouts.STORE_TRANSITION):
        assert callable(getattr(OffPolicyAlgorithm, name))
        assert sb3_rollouts.has_method_of(dqn, [OffPolicyAlgorithm], name)
    assert getattr(DQN, sb3_rollouts.FINISH_STEP) is not getattr(QRDQN, sb3_rollouts.FINISH_STEP)
    assert getattr(SAC, sb3_rollouts.FINISH_STEP) is getattr(OffPolicyAlgorithm, sb3_rollouts.FINISH_STEP)
    assert not sb3_rollouts.has_method_of(dqn, [OffPolicyAlgorithm], sb3_rollouts.FINISH_STEP)
    assert sb3_rollouts.has_method_of(dqn.replay_buffer, [DictReplayBuffer, ReplayBuffer], "add")
    dqn.replay_buffer.add = None
    assert not sb3_rollouts.has_method_of(dqn.replay_buffer, [DictReplayBuffer, ReplayBuffer], "add")
