"""Compute the returns and advantages of a rollout."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from stable_baselines3.common.buffers import RolloutBuffer

from sb3_ext.internals.sb3_rollouts import has_method_of


def compute_advantages(buffer: Any, last_values: NDArray[np.float32], dones: NDArray[np.bool_]) -> None:
    """
    Do what ``compute_returns_and_advantage`` of a rollout buffer does, with the same result to the last bit.

    SB3's loop over the steps evaluates the whole formula; here only the recursion is in a loop.

    :param buffer: full rollout buffer of any class
    :param last_values: values of the observations after the last step, shape (num_envs, 1)
    :param dones: whether an episode has ended in the last step, shape (num_envs,)
    """
    if not has_method_of(buffer, [RolloutBuffer], "compute_returns_and_advantage"):
        buffer.compute_returns_and_advantage(last_values=torch.from_numpy(last_values), dones=dones)
        return
    continues = 1.0 - np.concatenate([buffer.episode_starts[1:], dones.astype(np.float32)[None]])
    next_values = np.concatenate([buffer.values[1:], last_values.reshape(1, -1)])
    deltas = buffer.rewards + buffer.gamma * next_values * continues - buffer.values
    decays = buffer.gamma * buffer.gae_lambda * continues
    advantages = buffer.advantages
    advantages[-1] = deltas[-1]
    for step in reversed(range(len(deltas) - 1)):
        np.add(deltas[step], decays[step] * advantages[step + 1], out=advantages[step])
    buffer.returns = advantages + buffer.values
