"""Rows that SB3's replay buffers draw for several minibatches."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from stable_baselines3.common.buffers import DictReplayBuffer, ReplayBuffer

from sb3_ext.internals.sb3 import has_replay_samples_of

_STOCK = (ReplayBuffer, DictReplayBuffer)


def has_stock_samples(buffer: Any) -> bool:
    """
    :param buffer: a replay buffer
    :return: whether its minibatches are random rows, as those of SB3's buffers for returns of one step
    """
    return has_replay_samples_of(buffer, _STOCK)


def draw_rows(buffer: Any, count: int, batch_size: int) -> NDArray[np.int64]:
    """
    Draw rows with the same random numbers as the minibatches of SB3's buffers.

    :param buffer: a replay buffer with stock samples
    :param count: number of minibatches
    :param batch_size: rows of each minibatch
    :return: indices of rows in arrays of shape (steps · environments, …), shape (count, batch_size)
    """
    found = np.empty((count, batch_size), np.int64)
    for rows in found:
        if buffer.optimize_memory_usage and buffer.full:  # the observation after the newest row is overwritten
            steps = (np.random.randint(1, buffer.buffer_size, size=batch_size) + buffer.pos) % buffer.buffer_size
        else:
            steps = np.random.randint(0, buffer.size(), size=batch_size)
        np.multiply(steps, buffer.n_envs, out=rows)
        rows += np.random.randint(0, buffer.n_envs, size=batch_size)
    return found


def read_rows(buffer: Any, normalize: Any, rows: NDArray[np.int64]) -> dict[str, Any]:
    """
    :param buffer: a replay buffer with stock samples
    :param normalize: the ``VecNormalize`` of the environments; ``None`` without one
    :param rows: indices from :func:`draw_rows`, of any shape
    :return: observations, actions and so on by the names of SB3's samples, each of the shape of the rows and its own
    """
    followers = (rows + buffer.n_envs) % (buffer.buffer_size * buffer.n_envs) if buffer.optimize_memory_usage else rows
    nexts = buffer.observations if buffer.optimize_memory_usage else buffer.next_observations
    observations, next_observations = _take(buffer.observations, rows), _take(nexts, followers)
    rewards = _take(buffer.rewards, rows)[..., None]
    if normalize is not None:
        observations, next_observations = (
            normalize.normalize_obs(observations),
            normalize.normalize_obs(next_observations),
        )
        rewards = normalize.normalize_reward(rewards).astype(np.float32)
    return {
        "observations": observations,
        "actions": _take(buffer.actions, rows),
        "next_observations": next_observations,
        "dones": (_take(buffer.dones, rows) * (1 - _take(buffer.timeouts, rows)))[..., None],
        "rewards": rewards,
    }


def _take(values: Any, rows: NDArray[np.int64]) -> Any:
    if isinstance(values, dict):
        return {key: _take(part, rows) for key, part in values.items()}
    return values.reshape(-1, *values.shape[2:]).take(rows, axis=0)
