"""Update target networks and exploration rates of DQN and QR-DQN after each step."""

from __future__ import annotations

from typing import Any

import torch
from sb3_contrib import QRDQN
from stable_baselines3.common.utils import polyak_update

from sb3_ext.internals.sb3 import get_progress_remaining
from sb3_ext.internals.sb3_rollouts import count_step


class TargetUpdates:
    """
    Does what DQN and QR-DQN do after each step, without a walk through the modules of both networks.

    :param model: a DQN or QR-DQN model
    """

    def __init__(self, model: Any) -> None:
        self._model = model
        self._networks: tuple[Any, Any] | None = None
        self._weights: list[torch.Tensor] = []
        self._target_weights: list[torch.Tensor] = []

    def finish_step(self) -> None:
        """Count the step, update the target network if it is due, and the exploration rate."""
        model = self._model
        if count_step(model) % max(model.target_update_interval // model.n_envs, 1) == 0:
            self._update_target()
        model.exploration_rate = model.exploration_schedule(get_progress_remaining(model))
        model.logger.record("rollout/exploration_rate", model.exploration_rate)

    def _update_target(self) -> None:
        model = self._model
        networks = _find_networks(model)
        if networks != self._networks:
            self._networks = networks
            self._weights, self._target_weights = (list(network.parameters()) for network in networks)
        if model.tau == 1:
            for weight, target in zip(self._weights, self._target_weights, strict=True):
                target.data.copy_(weight.data)
        else:
            polyak_update(self._weights, self._target_weights, model.tau)
        if model.batch_norm_stats:
            polyak_update(model.batch_norm_stats, model.batch_norm_stats_target, 1.0)


def _find_networks(model: Any) -> tuple[Any, Any]:
    if isinstance(model, QRDQN):
        return model.quantile_net, model.quantile_net_target
    return model.q_net, model.q_net_target
