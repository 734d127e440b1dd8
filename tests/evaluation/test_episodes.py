"""The generator of episodes: exactly so many, unbiased, with masks and recurrent states."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Iterator
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
import torch
from sb3_contrib import MaskablePPO, RecurrentPPO
from sb3_contrib.common.envs import InvalidActionEnvDiscrete
from stable_baselines3 import DQN, PPO
from stable_baselines3.common.env_util import make_vec_env
from stable_baselines3.common.evaluation import evaluate_policy
from stable_baselines3.common.monitor import Monitor
from stable_baselines3.common.vec_env import DummyVecEnv, SubprocVecEnv, VecEnv, VecMonitor, VecNormalize

from sb3_ext.evaluation import episode_loop as episodes_module
from sb3_ext.evaluation.episode_loop import Episode, play_episodes
from sb3_ext.interruption import Interruption, StopRequested
from sb3_ext.vec import SequentialVecEnv

torch.set_num_threads(1)


class CountingEnv(gym.Env[np.ndarray, int]):
    """Episodes of ``length`` steps; every step is worth ``reward``, the observation is how far it has come."""

    def __init__(self, length: int = 3, reward: float = 1.0, success: bool | None = None) -> None:
        self.observation_space = gym.spaces.Box(0, 1, (1,), np.float32)
        self.action_space = gym.spaces.Discrete(2)
        self.length, self.reward, self.success = length, reward, success

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[np.ndarray, Any]:
        super().reset(seed=seed)
        self.step_count = 0
        return np.zeros(1, np.float32), {}

    def step(self, action: int) -> tuple[np.ndarray, float, bool, bool, dict[str, Any]]:
        self.step_count += 1
        is_over = self.step_count == self.length
        info = {"is_success": self.success} if is_over and self.success is not None else {}
        return np.full(1, self.step_count / self.length, np.float32), self.reward, is_over, False, info


class Still:
    """Always the first action: a predictor that is no SB3 model."""

    def predict(self, observation: Any, state: Any, episode_start: Any, deterministic: bool) -> tuple[np.ndarray, Any]:
        return np.zeros(len(observation), dtype=int), state


def make_counting_envs(*lengths: int, **kwargs: Any) -> DummyVecEnv:
    return DummyVecEnv([lambda length=length: CountingEnv(length, **kwargs) for length in lengths])


def train_tiny(algorithm: Any, env: Any, policy: str = "MlpPolicy", **kwargs: Any) -> Any:
    size = {"net_arch": [8]} if algorithm is not RecurrentPPO else {"net_arch": [8], "lstm_hidden_size": 4}
    return algorithm(policy, env, seed=3, device="cpu", policy_kwargs=size, **kwargs)


@pytest.mark.parametrize("episodes", [1, 2, 3, 7])
@pytest.mark.parametrize("num_envs", [1, 2, 5])
def test_yields_exactly_so_many_episodes(episodes: int, num_envs: int) -> None:
    played = list(play_episodes(Still(), make_counting_envs(*[4] * num_envs), episodes))

    assert [episode.index for episode in played] == list(range(episodes))
    assert {(episode.episode_return, episode.length) for episode in played} == {(4.0, 4)}


@pytest.mark.parametrize("episodes", [0, -3])
def test_no_episodes_is_an_error_at_once(episodes: int) -> None:
    with pytest.raises(ValueError, match=f"episodes must be positive, but got {episodes}"):
        play_episodes(Still(), make_counting_envs(3), episodes)


def test_short_episodes_are_not_preferred() -> None:
    # Whichever end first would be six of length 2; a fixed share takes three of each.
    lengths = [episode.length for episode in play_episodes(Still(), make_counting_envs(2, 20), 6)]

    assert Counter(lengths) == {2: 3, 20: 3}


def test_agrees_with_evaluate_policy_episode_by_episode() -> None:
    model = train_tiny(PPO, make_vec_env("CartPole-v1", 1, seed=0), n_steps=16, batch_size=16)
    stock_env = make_vec_env("CartPole-v1", 3)
    stock_env.seed(5)
    returns, lengths = evaluate_policy(model, stock_env, 8, return_episode_rewards=True)

    played = list(play_episodes(model, make_vec_env("CartPole-v1", 3), 8, seed=5))

    assert [(episode.episode_return, episode.length) for episode in played] == list(zip(returns, lengths, strict=True))


@pytest.mark.parametrize("success", [True, False, None])
def test_success_is_the_value_in_the_info_of_the_environment(success: bool | None) -> None:
    assert next(play_episodes(Still(), make_counting_envs(2, success=success), 1)).success is success


def test_returns_are_monitors_and_not_the_scaled_ones() -> None:
    env = make_vec_env(
        lambda: CountingEnv(5, reward=2.0),
        2,
        wrapper_class=lambda env: gym.wrappers.TransformReward(env, lambda reward: -reward),
    )
    assert {episode.episode_return for episode in play_episodes(Still(), env, 4)} == {10.0}


def test_returns_of_normalised_rewards_are_the_original_ones() -> None:
    env = VecNormalize(make_counting_envs(5, 5, reward=2.0), training=False, norm_reward=True)
    env.ret_rms.var = np.array(100.0)

    assert {episode.episode_return for episode in play_episodes(Still(), env, 2)} == {10.0}


class LosingLives(gym.Wrapper[Any, Any, Any, Any]):
    """Says "done" after every second step, as Atari's wrapper does at every lost life."""

    def step(self, action: Any) -> tuple[Any, Any, bool, bool, dict[str, Any]]:
        observation, reward, terminated, truncated, info = self.env.step(action)
        return observation, reward, terminated or self.env.unwrapped.step_count % 2 == 0, truncated, info

    def reset(self, **kwargs: Any) -> tuple[Any, dict[str, Any]]:
        if getattr(self.env.unwrapped, "step_count", 5) < 5:
            return np.zeros(1, np.float32), {}
        return self.env.reset(**kwargs)


def test_losing_a_life_does_not_end_an_episode() -> None:
    env = make_vec_env(lambda: CountingEnv(5), 1, wrapper_class=LosingLives)

    assert [episode.length for episode in play_episodes(Still(), env, 2)] == [5, 5]


def test_masked_actions_are_never_taken() -> None:
    def make_env() -> VecEnv:
        return make_vec_env(lambda: InvalidActionEnvDiscrete(dim=20, n_invalid_actions=15), 2)

    model = train_tiny(MaskablePPO, make_env(), n_steps=16, batch_size=16)
    env = make_env()
    taken: list[bool] = []
    step_async = env.step_async

    def check(actions: np.ndarray) -> None:
        masks = np.stack(env.env_method("action_masks"))
        taken.extend(masks[np.arange(2), actions])
        step_async(actions)

    env.step_async = check
    list(play_episodes(model, env, 4, deterministic=False, seed=1))

    assert len(taken) > 100
    assert all(taken)


def test_a_maskable_model_plays_environments_without_masks() -> None:
    model = train_tiny(MaskablePPO, make_counting_envs(3), n_steps=16, batch_size=16)

    assert len(list(play_episodes(model, make_counting_envs(3), 2))) == 2


def test_recurrent_state_is_passed_on_and_reset_when_an_episode_starts() -> None:
    model = train_tiny(RecurrentPPO, make_counting_envs(3), "MlpLstmPolicy", n_steps=16, batch_size=16)
    seen: list[tuple[Any, list[bool]]] = []
    predict = model.policy.predict

    def record(observation: Any, state: Any, starts: np.ndarray, deterministic: bool) -> Any:
        seen.append((state, starts.tolist()))
        return predict(observation, state, starts, deterministic)

    model.policy.predict = record
    list(play_episodes(model, make_counting_envs(2, 3), 4))

    assert seen[0][0] is None
    assert all(state[0].shape == (1, 2, 4) for state, _ in seen[1:])
    assert [starts for _, starts in seen[:4]] == [[True, True], [False, False], [True, False], [False, True]]


@pytest.mark.parametrize("deterministic", [True, False])
@pytest.mark.parametrize("algorithm", [PPO, DQN])
def test_a_seed_repeats_the_episodes_whatever_happened_before(algorithm: Any, deterministic: bool) -> None:
    kwargs = {"n_steps": 16, "batch_size": 16} if algorithm is PPO else {}
    model = train_tiny(algorithm, make_vec_env("CartPole-v1", 1), **kwargs)
    env = make_vec_env("CartPole-v1", 3)

    def play() -> list[Episode]:
        return list(play_episodes(model, env, 7, deterministic=deterministic, seed=11))

    first = play()
    next(play_episodes(model, env, 5, deterministic=False))
    np.random.rand(3)
    torch.rand(3)

    assert play() == first


def test_without_a_seed_the_sampling_is_fresh() -> None:
    model = train_tiny(PPO, make_vec_env("CartPole-v1", 1), n_steps=16, batch_size=16)
    env = make_vec_env("CartPole-v1", 2)
    first, second = (list(play_episodes(model, env, 10, deterministic=False)) for _ in range(2))

    assert first != second


def test_subprocess_environments() -> None:
    model = train_tiny(PPO, make_vec_env("CartPole-v1", 1), n_steps=16, batch_size=16)
    here = list(play_episodes(model, make_vec_env("CartPole-v1", 2), 4, seed=2))
    env = make_vec_env("CartPole-v1", 2, vec_env_cls=SubprocVecEnv)
    try:
        assert list(play_episodes(model, env, 4, seed=2)) == here
    finally:
        env.close()


def test_an_environment_that_never_ends_is_warned_of_once(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(episodes_module, "STEPS_UNTIL_WARNING", 50)
    with caplog.at_level(logging.WARNING):
        list(play_episodes(Still(), make_counting_envs(200, 3), 3))  # the short ones do not hide it

    assert [record.message for record in caplog.records if "env.max_steps" in record.message] == [
        "no episode has ended within 50 steps of each environment; if this environment never ends, "
        "set env.max_steps to truncate its episodes"
    ]


def list_played(played: Iterator[Episode]) -> list[tuple[float, int, bool]]:
    return [(episode.episode_return, episode.length, episode.truncated) for episode in played]


def test_an_episode_that_does_not_end_is_cut_off_and_the_next_one_is_played() -> None:
    env = make_counting_envs(3, 1000, reward=2.0)
    # Shares of 2 and 3: the first plays its two and waits, the second begins its next episode after each cut.
    assert list_played(play_episodes(Still(), env, 5, max_steps=10)) == [
        (6.0, 3, False),
        (6.0, 3, False),
        (20.0, 10, True),
        (20.0, 10, True),
        (20.0, 10, True),
    ]
    assert [episode.index for episode in play_episodes(Still(), env, 5, max_steps=10)] == [0, 1, 2, 3, 4]


def test_an_episode_that_ends_with_its_last_allowed_step_is_not_cut_off() -> None:
    assert list_played(play_episodes(Still(), make_counting_envs(5), 2, max_steps=5)) == [(5.0, 5, False)] * 2
    assert list_played(play_episodes(Still(), make_counting_envs(6), 1, max_steps=None)) == [(6.0, 6, False)]


@pytest.mark.parametrize("monitor", ["Monitor", "VecMonitor"])
def test_a_truncated_episode_has_the_return_that_monitor_has_seen(monitor: str) -> None:
    def make() -> gym.Env[Any, Any]:
        env: gym.Env[Any, Any] = CountingEnv(1000)
        return gym.wrappers.TransformReward(Monitor(env) if monitor == "Monitor" else env, lambda reward: 0.1 * reward)

    env: VecEnv = DummyVecEnv([make])
    if monitor == "Monitor":
        assert list_played(play_episodes(Still(), env, 1, max_steps=7)) == [(7.0, 7, True)]
    else:
        [(episode_return, length, truncated)] = list_played(play_episodes(Still(), VecMonitor(env), 1, max_steps=7))
        assert (round(episode_return, 5), length, truncated) == (0.7, 7, True)


def test_cut_off_episodes_are_the_same_with_the_same_seed() -> None:
    model = train_tiny(PPO, make_vec_env("Pendulum-v1", 1), n_steps=16, batch_size=16)
    first, second = (
        list(play_episodes(model, make_vec_env("Pendulum-v1", 2), 3, seed=4, max_steps=12)) for _ in range(2)
    )
    assert first == second
    assert len({episode.episode_return for episode in first}) == 3
    assert all(episode.truncated for episode in first)


def test_a_plain_environment_is_played_like_a_vectorised_one() -> None:
    model = train_tiny(PPO, make_vec_env("CartPole-v1", 1), n_steps=16, batch_size=16)
    expected = list(play_episodes(model, make_vec_env("CartPole-v1", 1), 3, seed=2))
    assert list(play_episodes(model, gym.make("CartPole-v1"), 3, seed=2)) == expected


def test_no_step_is_taken_after_there_is_a_reason_to_end() -> None:
    steps = 0

    class Counted(CountingEnv):
        def step(self, action: int) -> tuple[np.ndarray, float, bool, bool, dict[str, Any]]:
            nonlocal steps
            steps += 1
            return super().step(action)

    interruption = Interruption(lambda: "stop file" if steps == 4 else None)
    played = play_episodes(Still(), DummyVecEnv([lambda: Counted(3)]), 5, interruption=interruption)
    assert next(played).length == 3
    with pytest.raises(StopRequested, match="stop file"):
        next(played)
    assert steps == 4


def test_a_bound_of_no_steps_is_an_error_at_once() -> None:
    with pytest.raises(ValueError, match="max_steps must be positive, but got 0"):
        play_episodes(Still(), make_counting_envs(3), 1, max_steps=0)


def test_environments_that_have_played_their_share_are_not_stepped() -> None:
    env = SequentialVecEnv([lambda length=length: CountingEnv(length) for length in (2, 20, 3)])
    steps_before = [count_steps(inner) for inner in env.envs]

    lengths = [episode.length for episode in play_episodes(Still(), env, 4)]

    assert lengths == [2, 3, 3, 20]
    assert [total() for total in steps_before] == [2, 20, 6]


def count_steps(env: Any) -> Any:
    """:return: a function that returns the number of steps of an environment from now on"""
    step, calls = env.step, []

    def count(action: Any) -> Any:
        calls.append(action)
        return step(action)

    env.step = count
    return lambda: len(calls)


@pytest.mark.parametrize("algorithm", [PPO, RecurrentPPO])
def test_episodes_are_the_same_if_environments_rest(algorithm: Any) -> None:
    policy = "MlpLstmPolicy" if algorithm is RecurrentPPO else "MlpPolicy"
    model = train_tiny(algorithm, make_vec_env("CartPole-v1", 1, seed=0), policy, n_steps=16, batch_size=16)
    played = [
        list(play_episodes(model, make_vec_env("CartPole-v1", 3, vec_env_cls=kind), 8, deterministic=False, seed=5))
        for kind in (DummyVecEnv, SequentialVecEnv)
    ]

    assert played[0] == played[1]
