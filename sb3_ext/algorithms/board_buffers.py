"""
Buffers for mirror boards, on which the agent plays both seats, and for learning from mirror images of positions.

On a *mirror board* every step is one move, and the value for the player to move is minus the value for the next
player. With rewards of the player who has moved, a negative discount turns the algorithms' own targets into those of
the negamax recursion. On boards with an opponent a step is two moves, so one move has the discount -√γ, and √λ.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Sequence
from typing import Any, NamedTuple

import cloudpickle  # type: ignore[import-untyped]
import numpy as np
import torch
from numpy.typing import NDArray
from sb3_contrib.common.maskable.buffers import MaskableRolloutBuffer
from stable_baselines3.common.buffers import DictReplayBuffer, RolloutBuffer
from stable_baselines3.common.type_aliases import DictReplayBufferSamples

# SB3 pickles the class of a buffer into model.zip: with its code, the zip also loads without this package.
cloudpickle.register_pickle_by_value(sys.modules[__name__])


_OF_ACTIONS = ("action_mask", "action_masks", "move_targets")
"""Parts of a minibatch, or of its observations, that have a number for each action."""


class Reflection(NamedTuple):
    """
    The mirror image of a position.

    :param cells: for each number of a flattened observation, the index of the number that replaces it
    :param actions: for each action, its mirror image
    """

    cells: Sequence[int]
    actions: Sequence[int]


class BoardRolloutBuffer(RolloutBuffer):
    """
    The rollout buffer of PPO and A2C.

    :param num_mirrors: number of mirror boards; they are the first ones
    :param reflection: replace a random half of each minibatch by mirror images, drawn again in each epoch; ``None`` for
        none. The old probability of a reflected move is that of the original one: nearly the same, since the network
        learns both
    :param arguments: of SB3's buffer; ``gamma`` and ``gae_lambda`` are those of boards with an opponent
    """

    def __init__(
        self,
        *args: Any,
        num_mirrors: int = 0,
        reflection: Sequence[Sequence[int]] | None = None,
        **arguments: Any,
    ) -> None:
        super().__init__(*args, **arguments)
        self.num_mirrors = num_mirrors
        #: replaces half of each minibatch by mirror images
        self.reflector = Reflector(reflection)
        # A number a board: SB3's recursion goes over all boards at once.
        lambdas = np.full(self.n_envs, self.gae_lambda, dtype=np.float32)
        lambdas[:num_mirrors] = math.sqrt(self.gae_lambda)
        self.gae_lambda = lambdas  # type: ignore[assignment]
        self.gamma = make_discounts(self.gamma, self.n_envs, num_mirrors)  # type: ignore[assignment]

    def _get_samples(self, batch_inds: NDArray[Any], env: Any = None) -> Any:
        return self.reflector.reflect(self._read_samples(batch_inds, env))

    def _read_samples(self, batch_inds: NDArray[Any], env: Any = None) -> Any:
        return super()._get_samples(batch_inds, env)


class MaskableBoardRolloutBuffer(BoardRolloutBuffer, MaskableRolloutBuffer):
    """
    The rollout buffer of MaskablePPO.

    :param arguments: as of :class:`BoardRolloutBuffer`
    """


class BoardReplayBuffer(DictReplayBuffer):
    """
    The replay buffer of DQN and QR-DQN, for observations that contain the legal moves.

    :param num_mirrors: number of mirror boards; they are the first ones
    :param gamma: the discount on boards with an opponent
    :param reflection: replace a random half of each minibatch by mirror images; ``None`` for none
    :param arguments: of SB3's buffer
    """

    def __init__(
        self,
        *args: Any,
        num_mirrors: int = 0,
        gamma: float = 0.99,
        reflection: Sequence[Sequence[int]] | None = None,
        **arguments: Any,
    ) -> None:
        super().__init__(*args, **arguments)
        self._reflector = Reflector(reflection)
        self._discounts = make_discounts(gamma, self.n_envs, num_mirrors)

    def _get_samples(self, batch_inds: NDArray[Any], env: Any = None) -> Any:
        # SB3's method draws the board of each row itself, and does not say which it was; its discount depends on that.
        boards = np.random.randint(0, high=self.n_envs, size=len(batch_inds))
        places = (batch_inds, boards)
        ends = self.dones[places] * (1 - self.timeouts[places])
        samples = DictReplayBufferSamples(
            observations=self._select(self.observations, places, env),
            actions=self.to_torch(self.actions[places]),
            next_observations=self._select(self.next_observations, places, env),
            dones=self.to_torch(ends).reshape(-1, 1),
            rewards=self.to_torch(self._normalize_reward(self.rewards[places].reshape(-1, 1), env)),
            discounts=self.to_torch(self._discounts[boards].reshape(-1, 1)),
        )
        return self._reflector.reflect(samples)

    def _select(
        self, observations: Any, places: tuple[NDArray[Any], NDArray[Any]], env: Any
    ) -> dict[str, torch.Tensor]:
        rows: Any = self._normalize_obs({key: values[places] for key, values in observations.items()}, env)
        return {key: self.to_torch(values) for key, values in rows.items()}


def make_discounts(gamma: float, num_boards: int, num_mirrors: int) -> NDArray[np.float32]:
    """
    :param gamma: the discount of a move and its answer
    :param num_boards: number of boards, mirror boards included
    :param num_mirrors: number of mirror boards; they are the first ones
    :return: the discount of a step on each board, shape (boards,)
    """
    discounts = np.full(num_boards, gamma, dtype=np.float32)
    discounts[:num_mirrors] = -math.sqrt(gamma)
    return discounts


class Reflector:
    """
    Replaces a random half of a minibatch by mirror images.

    :param reflection: cells and actions, as in :class:`Reflection`; ``None`` to change nothing
    """

    def __init__(self, reflection: Sequence[Sequence[int]] | None) -> None:
        self._is_on = reflection is not None
        if reflection is not None:
            self._cells, self._actions = (torch.tensor(places) for places in reflection)

    def reflect(self, samples: Any) -> Any:
        """
        :param samples: a minibatch of any of SB3's buffers, whose tensors are changed; random numbers come from NumPy's
            global generator
        :return: the minibatch
        """
        if not self._is_on:
            return samples
        actions = samples.actions
        chosen = torch.from_numpy(np.flatnonzero(np.random.random(len(actions)) < 0.5)).to(actions.device)
        actions[chosen] = self._actions.to(actions.device)[actions[chosen].long()].to(actions.dtype)
        for name in ("observations", "next_observations", *_OF_ACTIONS):
            if getattr(samples, name, None) is not None:
                self._reflect_rows(name, getattr(samples, name), chosen)
        return samples

    def _reflect_rows(self, name: str, rows: Any, chosen: torch.Tensor) -> None:
        if isinstance(rows, dict):
            for key, values in rows.items():
                self._reflect_rows(key, values, chosen)
            return
        places = self._actions if name in _OF_ACTIONS else self._cells
        flat = rows.view(len(rows), -1)
        flat[chosen] = flat.index_select(0, chosen).index_select(1, places.to(rows.device))
