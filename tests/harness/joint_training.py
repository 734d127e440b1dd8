"""What two ranks with n environments each must learn, computed in one process by Stable-Baselines3's own ``train``."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from types import SimpleNamespace
from typing import Any

import numpy as np
import torch
from stable_baselines3 import PPO
from stable_baselines3.common.callbacks import CallbackList
from stable_baselines3.common.env_util import make_vec_env
from stable_baselines3.common.utils import set_random_seed
from stable_baselines3.common.vec_env import VecEnvWrapper, VecNormalize

from sb3_ext.vec.global_random import get_global_random_state, set_global_random_state

NUM_ENVS = 2
UPDATES = 20
N_STEPS = 16
BATCH_SIZE = 16


def make_rank_env(rank: int, seed: int = 10) -> VecNormalize:
    return RecordingNormalize(RawRecorder(make_vec_env("CartPole-v1", NUM_ENVS, seed=seed + NUM_ENVS * rank)))


def make_rank_model(algorithm: Any, env: Any, batch_size: int = BATCH_SIZE, **changes: Any) -> Any:
    settings: dict[str, Any] = {
        "n_steps": N_STEPS,
        "batch_size": batch_size,
        "n_epochs": 3,
        "learning_rate": 1e-2,
        "target_kl": 0.005,
        "ent_coef": 0.01,
        "policy_kwargs": {"net_arch": [16]},
        **changes,
    }
    return algorithm("MlpPolicy", env, seed=0, device="cpu", **settings)


class RawRecorder(VecEnvWrapper):
    """Records all observations as they come from the environments."""

    def __init__(self, venv: Any) -> None:
        super().__init__(venv)
        self.seen: list[Any] = []

    def reset(self) -> Any:
        observations = self.venv.reset()
        self.seen.append(np.array(observations, np.float64))
        return observations

    def step_wait(self) -> Any:
        observations, *rest = self.venv.step_wait()
        self.seen.append(np.array(observations, np.float64))
        return observations, *rest


class RecordingNormalize(VecNormalize):
    """Records all discounted returns from which rewards are scaled."""

    def __init__(self, venv: Any) -> None:
        super().__init__(venv)
        self.seen_returns: list[Any] = []

    def _update_reward(self, reward: Any) -> None:
        super()._update_reward(reward)
        self.seen_returns.append(self.returns.copy())


class JointTraining:
    """
    Collect the rollouts of each rank in turn, with its own random numbers, and train a stock PPO model on all of them.

    The statistics of ``VecNormalize`` after each rollout are computed from all values that were ever seen.
    """

    def __init__(self, ranks: int = 2, **changes: Any) -> None:
        self.envs = [make_rank_env(rank) for rank in range(ranks)]
        self.model = make_rank_model(PPO, make_rank_env(0), BATCH_SIZE * ranks, **changes)
        self.rank_models = [make_rank_model(PPO, env, **changes) for env in self.envs]
        for rank_model in self.rank_models:
            rank_model.policy = self.model.policy
        self.random_states = []
        self.epochs: list[int] = []
        for rank in range(ranks):
            set_random_seed(100 + rank)
            self.random_states.append(get_global_random_state())

    def learn(self) -> None:
        total = UPDATES * N_STEPS * NUM_ENVS * len(self.envs)
        for rank_model in self.rank_models:
            rank_model._setup_learn(total, None)
        self._merge()
        self.model._setup_learn(total, None)
        for update in range(1, UPDATES + 1):
            for rank, rank_model in enumerate(self.rank_models):
                set_global_random_state(self.random_states[rank])
                callback = CallbackList([])
                callback.init_callback(rank_model)
                rank_model.collect_rollouts(rank_model.env, callback, rank_model.rollout_buffer, N_STEPS)
                self.random_states[rank] = get_global_random_state()
            self._merge()
            buffers = [rank_model.rollout_buffer for rank_model in self.rank_models]
            self.model.rollout_buffer = SimpleNamespace(
                get=lambda batch_size, buffers=buffers: self._draw(buffers),
                values=np.concatenate([buffer.values for buffer in buffers], 1),
                returns=np.concatenate([buffer.returns for buffer in buffers], 1),
            )
            self.model._update_current_progress_remaining(update * N_STEPS * NUM_ENVS * len(self.envs), total)
            PPO.train(self.model)
            self.epochs.append(self.model._n_updates - sum(self.epochs))

    def count_stopped(self) -> int:
        """:return: number of updates that target_kl has ended before the last epoch"""
        return sum(epochs < self.model.n_epochs for epochs in self.epochs)

    def _draw(self, buffers: Sequence[Any]) -> Iterator[Any]:
        readers = [buffer.get(BATCH_SIZE) for buffer in buffers]
        while True:
            parts = []
            for rank, reader in enumerate(readers):
                set_global_random_state(self.random_states[rank])
                parts.append(next(reader, None))
                self.random_states[rank] = get_global_random_state()
            if parts[0] is None:
                return
            yield type(parts[0])(*(torch.cat(columns) for columns in zip(*parts, strict=True)))

    def _merge(self) -> None:
        observations = np.concatenate([rows for env in self.envs for rows in env.venv.seen])
        returns = np.concatenate([rows for env in self.envs for rows in [*env.seen_returns, np.zeros(0)]])
        for env in self.envs:
            _set(env.obs_rms, observations)
            _set(env.ret_rms, returns)


def _set(statistics: Any, values: Any) -> None:
    """As SB3 computes them: with a prior of mean 0 and variance 1 that counts as 1e-4 values."""
    prior = 1e-4
    statistics.count = prior + len(values)
    statistics.mean = values.sum(0) / statistics.count
    statistics.var = (prior + (values**2).sum(0)) / statistics.count - statistics.mean**2
