"""
Rollout buffers for :mod:`sb3_ext.algorithms.lookahead_ppo`: what a lookahead of one move finds in each position.

A *move value* is the reward of a legal move, plus the discounted value of the position after it, both for the player
who moves. The value of a position is learned from its best move value and from what happened later, as in TD(λ).
"""

from __future__ import annotations

import sys
from typing import Any, NamedTuple

import cloudpickle  # type: ignore[import-untyped]
import numpy as np
import torch
from numpy.typing import NDArray
from sb3_contrib.common.maskable.buffers import MaskableRolloutBuffer

from sb3_ext.algorithms.algorithm_registry import LOOKAHEAD_TEMPERATURE
from sb3_ext.algorithms.board_buffers import BoardRolloutBuffer

# SB3 pickles the class of a buffer into model.zip: with its code, the zip also loads without this package.
cloudpickle.register_pickle_by_value(sys.modules[__name__])


class LookaheadSamples(NamedTuple):
    """
    A minibatch.

    :param observations: shape (rows, ...)
    :param actions: the moves that were played, shape (rows, 1)
    :param old_values: values of the positions during the rollout, shape (rows,)
    :param advantages: returns minus old values, shape (rows,)
    :param returns: what the values learn, shape (rows,)
    :param move_targets: probabilities of the actions, which the policy learns; 0 for illegal ones; shape
        (rows, actions)
    :param action_masks: legal actions, of MaskablePPO; shape (rows, actions)
    """

    observations: torch.Tensor
    actions: torch.Tensor
    old_values: torch.Tensor
    advantages: torch.Tensor
    returns: torch.Tensor
    move_targets: torch.Tensor
    action_masks: torch.Tensor | None = None


class LookaheadRolloutBuffer(BoardRolloutBuffer):
    """
    The rollout buffer of LookaheadPPO. :class:`~sb3_ext.callbacks.LookaheadCallback` fills its move values.

    :param temperature: the policy learns the softmax of move values divided by it, positive
    :param arguments: of :class:`~sb3_ext.algorithms.board_buffers.BoardRolloutBuffer`
    :raises ValueError: if the temperature is not positive
    """

    #: values of all actions at each step, -inf for illegal ones, NaN where missing; shape (steps, boards, actions)
    move_values: NDArray[np.float32]
    move_targets: NDArray[np.float32]

    def __init__(self, *args: Any, temperature: float = LOOKAHEAD_TEMPERATURE, **arguments: Any) -> None:
        if not temperature > 0:
            raise ValueError(f"temperature must be positive, but got {temperature}")
        self.temperature = temperature
        super().__init__(*args, **arguments)

    def reset(self) -> None:
        """Empty the buffer."""
        super().reset()
        actions = int(self.action_space.n)  # type: ignore[attr-defined]
        self.move_values = np.full((self.buffer_size, self.n_envs, actions), np.nan, np.float32)

    def set_move_values(self, values: NDArray[np.float32]) -> None:
        """
        Store what the lookahead found at the current step. Call it before :meth:`add`.

        :param values: values of all actions, -inf for illegal ones, shape (boards, actions)
        """
        self.move_values[self.pos] = values

    def compute_returns_and_advantage(self, last_values: torch.Tensor, dones: NDArray[np.bool_]) -> None:
        """
        Compute the targets: ``returns``, ``advantages`` and ``move_targets``.

        The return of a step is (1 - λ) times the best move value, plus λ times its reward and the discounted return of
        the next step.

        :param last_values: values of the positions after the last step, shape (boards, 1)
        :param dones: whether a game has ended in the last step, shape (boards,)
        :raises ValueError: if move values are missing
        """
        if np.isnan(self.move_values).any():
            raise ValueError("move values are missing; train with LookaheadCallback()")
        best = self.move_values.max(axis=2)
        ends = np.concatenate([self.episode_starts[1:], dones.astype(np.float32)[None]])
        later = last_values.cpu().numpy().flatten()
        for step in reversed(range(self.buffer_size)):
            later = self.rewards[step] + self.gamma * (1.0 - ends[step]) * later
            later = self.returns[step] = (1.0 - self.gae_lambda) * best[step] + self.gae_lambda * later
        self.advantages = self.returns - self.values
        chances = np.exp((self.move_values - best[..., None]) / self.temperature)
        chances /= chances.sum(axis=2, keepdims=True)
        self.move_targets = self.swap_and_flatten(chances)

    def _read_samples(self, batch_inds: NDArray[Any], env: Any = None) -> LookaheadSamples:
        found = super()._read_samples(batch_inds, env)
        return LookaheadSamples(
            observations=found.observations,
            actions=found.actions,
            old_values=found.old_values,
            advantages=found.advantages,
            returns=found.returns,
            move_targets=self.to_torch(self.move_targets[batch_inds]),
            action_masks=getattr(found, "action_masks", None),
        )


class MaskableLookaheadRolloutBuffer(LookaheadRolloutBuffer, MaskableRolloutBuffer):
    """
    The rollout buffer of LookaheadMaskablePPO.

    :param arguments: as of :class:`LookaheadRolloutBuffer`
    """
