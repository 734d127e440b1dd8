"""
DQN and QR-DQN with action masks: they choose, explore and bootstrap among legal moves only.

The observation is a ``Dict`` with an ``action_mask`` (1 where an action is legal) beside the position. So the replay
buffer has the legal moves, too, where the target needs them.
"""

from __future__ import annotations

import sys
from typing import Any, ClassVar

import cloudpickle  # type: ignore[import-untyped]
import numpy as np
import torch
from numpy.typing import NDArray
from sb3_contrib import QRDQN
from sb3_contrib.qrdqn.policies import MultiInputPolicy as QuantileMultiInputPolicy
from sb3_contrib.qrdqn.policies import QuantileNetwork
from stable_baselines3 import DQN
from stable_baselines3.common.policies import BasePolicy
from stable_baselines3.common.type_aliases import PyTorchObs
from stable_baselines3.dqn.policies import MultiInputPolicy, QNetwork

# SB3 pickles the class of a policy into model.zip: with its code, the zip also loads without this package.
cloudpickle.register_pickle_by_value(sys.modules[__name__])

MASK = "action_mask"
ILLEGAL_VALUE = -1e8
"""The value of illegal moves: finite, since the target of a game's last move multiplies it by 0."""


class MaskedQNetwork(QNetwork):
    """A Q-network with very low values of illegal moves."""

    def forward(self, obs: PyTorchObs) -> torch.Tensor:
        """
        :param obs: a ``dict`` with the action mask
        :return: shape (batch, actions)
        """
        return torch.where(_read_masks(obs), super().forward(obs), ILLEGAL_VALUE)


class MaskedQuantileNetwork(QuantileNetwork):
    """A quantile network with very low quantiles of illegal moves."""

    def forward(self, obs: PyTorchObs) -> torch.Tensor:
        """
        :param obs: a ``dict`` with the action mask
        :return: shape (batch, quantiles, actions)
        """
        return torch.where(_read_masks(obs)[:, None, :], super().forward(obs), ILLEGAL_VALUE)


class MaskedPolicy(MultiInputPolicy):
    """DQN's policy for a ``Dict`` with an ``action_mask``. Stock ``DQN`` explores illegal moves with it."""

    def make_q_net(self) -> QNetwork:
        """:return: SB3's network with masks"""
        arguments = self._update_features_extractor(self.net_args, features_extractor=None)
        return MaskedQNetwork(**arguments).to(self.device)


class MaskedQuantilePolicy(QuantileMultiInputPolicy):
    """QR-DQN's policy for a ``Dict`` with an ``action_mask``. Stock ``QRDQN`` explores illegal moves with it."""

    def make_quantile_net(self) -> QuantileNetwork:
        """:return: the network of sb3-contrib with masks"""
        arguments = self._update_features_extractor(self.net_args, features_extractor=None)
        return MaskedQuantileNetwork(**arguments).to(self.device)


class _LegalExploration:
    """Explores legal moves. Each board draws on its own, where SB3 draws once for all of them."""

    policy: Any
    exploration_rate: float
    num_timesteps: int
    _last_obs: Any

    def predict(
        self,
        observation: Any,
        state: tuple[NDArray[Any], ...] | None = None,
        episode_start: NDArray[Any] | None = None,
        deterministic: bool = False,
    ) -> tuple[NDArray[Any], tuple[NDArray[Any], ...] | None]:
        """
        :param observation: of one board, or of several
        :param state: returned as it is
        :param episode_start: not used
        :param deterministic: take the best move; else a random one with probability ``exploration_rate``
        :return: legal actions
        """
        actions, state = self.policy.predict(observation, state, episode_start, True)
        return (actions if deterministic else self.explore(observation, actions)), state

    def explore(self, observation: Any, actions: NDArray[Any]) -> NDArray[Any]:
        """
        Replace actions by random legal ones, each with probability ``exploration_rate``.

        :param observation: of one board, or of several
        :param actions: best actions
        :return: legal actions
        """
        if self.exploration_rate <= 0:
            return actions
        masks = np.asarray(observation[MASK])
        is_random = np.random.random(masks.shape[:-1]) < self.exploration_rate
        return np.where(is_random, draw_legal(masks), actions)

    def _sample_action(
        self, learning_starts: int, action_noise: Any = None, n_envs: int = 1
    ) -> tuple[NDArray[Any], NDArray[Any]]:
        if self.num_timesteps < learning_starts:
            actions = draw_legal(self._last_obs[MASK])
        else:
            actions, _ = self.predict(self._last_obs, deterministic=False)
        return actions, actions


class MaskedDQN(_LegalExploration, DQN):
    """
    DQN with action masks. Stock ``DQN.load`` also opens a model that it has saved.

    :param arguments: DQN's
    """

    policy_aliases: ClassVar[dict[str, type[BasePolicy]]] = {"MultiInputPolicy": MaskedPolicy}


class MaskedQRDQN(_LegalExploration, QRDQN):
    """
    QR-DQN with action masks. Stock ``QRDQN.load`` also opens a model that it has saved.

    :param arguments: QR-DQN's
    """

    policy_aliases: ClassVar[dict[str, type[BasePolicy]]] = {"MultiInputPolicy": MaskedQuantilePolicy}


def _read_masks(obs: PyTorchObs) -> torch.Tensor:
    assert isinstance(obs, dict), "a network with masks needs a Dict observation"
    return obs[MASK] > 0


def draw_legal(masks: NDArray[Any]) -> NDArray[np.int64]:
    """
    :param masks: 1 where an action is legal, shape (..., actions)
    :return: a legal action of each row, uniformly drawn from NumPy's global generator, as in SB3, shape (...)
    """
    scores = np.where(masks > 0, np.random.random(masks.shape), -1.0)
    actions: NDArray[np.int64] = scores.argmax(axis=-1)
    return actions
