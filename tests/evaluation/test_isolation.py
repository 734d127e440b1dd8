"""Evaluating changes nothing: a training with evaluations ends with the same bits as one without."""

from __future__ import annotations

import functools
import hashlib
import random
from typing import Any

import numpy as np
import pytest
import torch
from sb3_contrib import CrossQ
from stable_baselines3 import DQN, PPO, SAC, TD3
from stable_baselines3.common.callbacks import BaseCallback
from stable_baselines3.common.env_util import make_vec_env
from stable_baselines3.common.noise import NormalActionNoise

from sb3_ext.evaluation.episode_loop import play_episodes

torch.set_num_threads(1)

ON_POLICY = {"n_steps": 32, "batch_size": 32, "n_epochs": 1}
OFF_POLICY = {"learning_starts": 20, "batch_size": 8, "buffer_size": 1000}
CASES: dict[str, tuple[Any, str, dict[str, Any]]] = {
    "ppo": (PPO, "CartPole-v1", ON_POLICY),
    "ppo-gsde": (PPO, "Pendulum-v1", {**ON_POLICY, "use_sde": True, "sde_sample_freq": 4}),
    "dqn": (DQN, "CartPole-v1", {**OFF_POLICY, "exploration_final_eps": 0.5}),
    "sac-gsde": (SAC, "Pendulum-v1", {**OFF_POLICY, "use_sde": True}),
    "td3-noise": (TD3, "Pendulum-v1", {**OFF_POLICY, "action_noise": NormalActionNoise(np.zeros(1), np.ones(1))}),
    "crossq": (CrossQ, "Pendulum-v1", OFF_POLICY),
}


class PlayAtBoundaries(BaseCallback):
    """Plays some episodes at every eighth boundary, and leaves half of the generators unfinished."""

    def __init__(self, env: Any, deterministic: bool) -> None:
        super().__init__()
        self.env, self.deterministic, self.boundaries = env, deterministic, 0

    def _on_step(self) -> bool:
        return True

    def _on_rollout_start(self) -> None:
        if self.boundaries % 8 == 0:
            episodes = play_episodes(self.model, self.env, 3, deterministic=self.deterministic)
            next(episodes)
            if self.boundaries % 16 == 0:
                list(episodes)
        self.boundaries += 1


def train_and_hash(case: str, callback_for: Any) -> str:
    algorithm, env_id, kwargs = CASES[case]
    random.seed(0)
    size = {"net_arch": [8]}
    env = make_vec_env(env_id, 1, seed=4, wrapper_kwargs=None)
    model = algorithm("MlpPolicy", env, seed=4, device="cpu", policy_kwargs=size, **kwargs)
    model.learn(100, callback=callback_for())
    digest = hashlib.sha256()
    for tensor in model.policy.state_dict().values():
        digest.update(tensor.numpy().tobytes())
    digest.update(repr((random.random(), np.random.rand(), torch.rand(1).item())).encode())
    return digest.hexdigest()


@functools.cache
def train_without_evaluations(case: str) -> str:
    return train_and_hash(case, lambda: None)


@pytest.mark.parametrize("deterministic", [True, False], ids=["deterministic", "stochastic"])
@pytest.mark.parametrize("case", CASES)
def test_weights_are_the_same_bits_with_and_without_evaluations(case: str, deterministic: bool) -> None:
    env = make_vec_env(CASES[case][1], 2, env_kwargs={"max_episode_steps": 10})

    evaluated = train_and_hash(case, lambda: PlayAtBoundaries(env, deterministic))

    assert evaluated == train_without_evaluations(case)


def test_policy_mode_is_put_back_while_the_generator_waits() -> None:
    model = PPO("MlpPolicy", "CartPole-v1", n_steps=16, batch_size=16, device="cpu")
    model.policy.set_training_mode(True)
    model.policy.action_net.train(False)
    episodes = play_episodes(model, make_vec_env("CartPole-v1", 2), 3)
    for _ in episodes:
        assert model.policy.training
        assert not model.policy.action_net.training


def test_training_between_two_episodes_does_not_change_the_second() -> None:
    model = PPO("MlpPolicy", "CartPole-v1", n_steps=16, batch_size=16, device="cpu", seed=1)
    env = make_vec_env("CartPole-v1", 2)
    undisturbed = list(play_episodes(model, env, 6, deterministic=False, seed=9))
    disturbed = []
    for episode in play_episodes(model, env, 6, deterministic=False, seed=9):
        disturbed.append(episode)
        torch.rand(5)
        np.random.seed(0)

    assert disturbed == undisturbed


def test_gsde_noise_is_fresh_for_each_environment_and_repeated_by_the_seed() -> None:
    model = PPO("MlpPolicy", "Pendulum-v1", n_steps=16, batch_size=16, device="cpu", seed=1, use_sde=True)
    before = model.policy.action_dist.exploration_mat
    env = make_vec_env("Pendulum-v1", 2, env_kwargs={"max_episode_steps": 20})
    first = list(play_episodes(model, env, 4, deterministic=False, seed=9))

    assert model.policy.action_dist.exploration_mat is before
    model.policy.reset_noise(7)
    assert list(play_episodes(model, env, 4, deterministic=False, seed=9)) == first
    assert list(play_episodes(model, env, 4, deterministic=True, seed=9)) != first


def test_an_error_in_the_environment_puts_everything_back() -> None:
    model = PPO("MlpPolicy", "CartPole-v1", n_steps=16, batch_size=16, device="cpu")
    env = make_vec_env("CartPole-v1", 1)
    model.policy.set_training_mode(True)
    state = torch.get_rng_state()
    env.step_wait = lambda: (_ for _ in ()).throw(RuntimeError("broken"))

    with pytest.raises(RuntimeError, match="broken"):
        next(play_episodes(model, env, 1, deterministic=False, seed=1))

    assert model.policy.training
    assert torch.equal(torch.get_rng_state(), state)
