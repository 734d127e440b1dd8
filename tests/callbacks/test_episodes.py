from __future__ import annotations

from collections.abc import Callable
from typing import Any

import gymnasium
import numpy as np
import pytest
from stable_baselines3 import PPO
from stable_baselines3.common.base_class import BaseAlgorithm
from stable_baselines3.common.monitor import Monitor
from stable_baselines3.common.vec_env import DummyVecEnv, VecMonitor, VecNormalize

from sb3_ext.callbacks import EpisodeCallback

MakeModel = Callable[..., BaseAlgorithm]


class EpisodeRecorder(EpisodeCallback):
    def __init__(self) -> None:
        super().__init__()
        self.records: list[tuple[int, int, float | None, int | None]] = []
        self.infos: list[dict[str, Any]] = []

    def _on_episode(self, episode_return: float | None, episode_length: int | None, info: dict[str, Any]) -> None:
        self.records.append((self.episodes, self.num_timesteps, episode_return, episode_length))
        self.infos.append(info)


def make_mock_vec_env(num_envs: int, *, is_monitored: bool) -> DummyVecEnv:
    def make() -> gymnasium.Env[Any, Any]:
        env = gymnasium.make("sb3_ext/Mock-v0", shortest_episode_steps=5, longest_episode_steps=5)
        return Monitor(env) if is_monitored else env

    return DummyVecEnv([make] * num_envs)


def make_ppo(env: Any) -> PPO:
    return PPO("MlpPolicy", env, n_steps=10, batch_size=10, n_epochs=1, policy_kwargs={"net_arch": [4]}, seed=0)


def test_sees_every_episode_of_every_algorithm(algorithm: str, make_model: MakeModel) -> None:
    recorder = EpisodeRecorder()
    model = make_model(algorithm).learn(40, callback=recorder)
    assert [record[0] for record in recorder.records] == list(range(1, model.num_timesteps // 5 + 1))
    assert {record[3] for record in recorder.records} == {5}
    seen = [record[2] for record in recorder.records]
    assert seen[-len(model.ep_info_buffer) :] == pytest.approx([episode["r"] for episode in model.ep_info_buffer])


def test_reports_the_step_of_each_episode(make_model: MakeModel) -> None:
    recorder = EpisodeRecorder()
    make_model("dqn").learn(20, callback=recorder)
    assert [record[1] for record in recorder.records] == [5, 10, 15, 20]


def test_counts_over_all_environments() -> None:
    recorder = EpisodeRecorder()
    make_ppo(make_mock_vec_env(3, is_monitored=True)).learn(30, callback=recorder)
    assert [record[:2] for record in recorder.records] == [(1, 15), (2, 15), (3, 15), (4, 30), (5, 30), (6, 30)]
    assert all("TimeLimit.truncated" in info for info in recorder.infos)


def test_returns_are_those_before_normalisation() -> None:
    recorder = EpisodeRecorder()
    env = VecNormalize(VecMonitor(make_mock_vec_env(2, is_monitored=False)))
    model = make_ppo(env)
    model.learn(40, callback=recorder)
    seen = [record[2] for record in recorder.records]
    assert seen == pytest.approx([episode["r"] for episode in model.ep_info_buffer])


def test_counts_episodes_without_a_monitor() -> None:
    recorder = EpisodeRecorder()
    make_ppo(make_mock_vec_env(1, is_monitored=False)).learn(10, callback=recorder)
    assert recorder.records == [(1, 5, None, None), (2, 10, None, None)]


def test_resume_continues_the_count(make_model: MakeModel) -> None:
    recorder = EpisodeRecorder()
    recorder.load_state_dict({"episodes": 7})
    make_model("dqn").learn(10, callback=recorder)
    assert recorder.state_dict() == {"episodes": 9}


def test_accepts_dones_of_numpy_bools() -> None:
    recorder = EpisodeRecorder()
    recorder.locals = {"dones": np.array([False, True]), "infos": [{}, {"episode": {"r": np.float32(2), "l": 3}}]}
    assert recorder._on_step() is True
    assert recorder.records == [(1, 0, 2.0, 3)]
