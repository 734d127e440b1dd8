"""Use an SB3 policy as an opponent."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from gymnasium import spaces
from numpy.typing import NDArray
from sb3_contrib.qrdqn.policies import QRDQNPolicy
from stable_baselines3.common.policies import BasePolicy
from stable_baselines3.dqn.policies import DQNPolicy

from sb3_ext.engines.network_functions import compute_groups
from sb3_ext.errors import SelfPlayError
from sb3_ext.selfplay.games.game import Boards, Game
from sb3_ext.selfplay.games.legality import draw_legal
from sb3_ext.selfplay.opponents.observation_statistics import Normalize, make_normalize
from sb3_ext.selfplay.opponents.policy_scores import make_scores

DEFAULT_EXPLORATION = 0.05


class PolicyOpponent:
    """
    Plays the legal moves that a policy prefers. The policy is not copied, so the opponent learns with it.

    Actor-critic policies are sampled; value-based policies (DQN, QR-DQN) play epsilon-greedy, so that games differ. The
    opponent has its own random generator and does not touch the global ones.

    :param policy: policy of PPO, A2C, MaskablePPO, DQN, QR-DQN or a subclass
    :param name: shown in tables and pictures
    :param generator: random generator of its moves
    :param deterministic: always play the most likely or most valuable move
    :param exploration: probability of a random move of a value-based policy
    :param normalize: normalisation of observations in training
    :raises SelfPlayError: if the policy is of another kind
    """

    def __init__(
        self,
        policy: BasePolicy,
        name: str,
        generator: np.random.Generator | None = None,
        *,
        deterministic: bool = False,
        exploration: float = DEFAULT_EXPLORATION,
        normalize: Normalize | None = None,
    ) -> None:
        self.name = name
        self.policy: Any = policy
        self._generator = np.random.default_rng() if generator is None else generator
        self._deterministic = deterministic
        #: whether the policy is value-based
        self.has_values = isinstance(policy, DQNPolicy | QRDQNPolicy)
        self._exploration = exploration if self.has_values and not deterministic else 0.0
        self._takes_masks = isinstance(policy.observation_space, spaces.Dict)
        self._normalize = normalize or make_normalize(None)
        if not self.has_values and (not hasattr(policy, "get_distribution") or hasattr(policy, "lstm_actor")):
            kind = type(policy).__name__
            raise SelfPlayError(
                f"opponent '{name}': a {kind} cannot be an opponent; expected a policy of PPO, A2C, DQN or QR-DQN"
            )
        self._is_normalized = normalize is not None and normalize is not make_normalize(None)
        self._scores = make_scores(policy)

    def act(self, game: Game, boards: Boards) -> NDArray[np.intp]:
        return self.choose(game.observe(boards, game.movers[boards]), game.find_legal(boards))

    def choose(self, observations: NDArray[Any], legal: NDArray[np.bool_]) -> NDArray[np.intp]:
        """
        :param observations: observations of the players to move, shape (boards, ...)
        :param legal: mask of the legal actions, shape (boards, actions)
        :return: a legal action for each board, shape (boards,)
        """
        return self._choose_best(self._score(self._prepare(observations, legal)), legal)

    def choose_together(
        self,
        others: Sequence[PolicyOpponent],
        observations: NDArray[Any],
        legal: NDArray[np.bool_],
        sizes: Sequence[int],
    ) -> NDArray[np.intp]:
        """
        Choose the moves of this opponent and of others that play like it, as each of them does, in fewer calls.

        :param others: opponents with the same :attr:`kind`, which is not ``None``
        :param observations: those of the first opponent, then those of each other, shape (boards, ...)
        :param legal: mask of the legal actions, shape (boards, actions)
        :param sizes: number of boards of each opponent
        :return: a legal action for each board, shape (boards,)
        """
        with torch.inference_mode():
            inputs = self._scores.read(self._prepare(observations, legal))
            scores = compute_groups([opponent._scores.network for opponent in (self, *others)], inputs, sizes)
        return self._choose_best(scores.numpy().astype(np.float64), legal)

    @property
    def kind(self) -> tuple[Any, ...] | None:
        """What opponents that :meth:`choose_together` takes have in common; ``None`` if it cannot take this one."""
        if self._scores.description is None or self._is_normalized or self._exploration > 0:
            return None
        is_random = not (self._deterministic or self.has_values)
        return self._scores.description, self._takes_masks, is_random, id(self._generator)

    def _choose_best(self, scores: NDArray[np.float64], legal: NDArray[np.bool_]) -> NDArray[np.intp]:
        scores = np.where(legal, scores, -np.inf)
        if not (self._deterministic or self.has_values):
            scores += self._generator.gumbel(size=scores.shape)  # its maximum is a sample of the softmax
        actions: NDArray[np.intp] = scores.argmax(axis=1)
        if self._exploration > 0:
            explores = self._generator.random(len(legal)) < self._exploration
            actions = np.where(explores, draw_legal(legal, self._generator), actions)
        return actions

    def judge(self, game: Game, boards: Boards) -> NDArray[np.float64]:
        """
        :param game: the game; not modified
        :param boards: boards whose games are not over
        :return: probability of each move, or its estimated return if ``has_values``; NaN for illegal moves; shape
            (boards, actions)
        """
        legal = game.find_legal(boards)
        observations = self._prepare(game.observe(boards, game.movers[boards]), legal)
        scores = np.where(legal, self._score(observations), -np.inf)
        if not self.has_values:
            scores = np.exp(scores - scores.max(axis=1, keepdims=True))
            scores /= scores.sum(axis=1, keepdims=True)
        return np.where(legal, scores, np.nan)

    def state_dict(self) -> dict[str, Any]:
        """See :class:`~sb3_ext.stateful.Stateful`."""
        return dict(self._generator.bit_generator.state)

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """See :class:`~sb3_ext.stateful.Stateful`."""
        self._generator.bit_generator.state = state

    def _prepare(self, observations: Any, legal: NDArray[np.bool_]) -> Any:
        """:return: the observations as the policy takes them"""
        if self._takes_masks:
            observations = {"action_mask": legal.astype(np.int8), "observation": observations}
        return self._normalize(observations)

    def _score(self, observations: Any) -> NDArray[np.float64]:
        """:return: logits or action values, shape (boards, actions)"""
        was_training = self.policy.training
        if was_training:
            self.policy.set_training_mode(False)
        with torch.inference_mode():
            scores = self._scores(observations)
        if was_training:
            self.policy.set_training_mode(True)
        found: NDArray[np.float64] = scores.cpu().numpy().astype(np.float64)
        return found


def copy_policy(policy: BasePolicy) -> BasePolicy:
    """
    :param policy: policy of any algorithm
    :return: a frozen copy on the CPU, in evaluation mode
    """
    # Do not copy the optimizer, nor the latest distribution, which holds the graph of an update.
    left_out = [getattr(policy, "optimizer", None)]
    left_out += [getattr(getattr(part, "action_dist", None), "distribution", None) for part in policy.modules()]
    copied = copy.deepcopy(policy, {id(part): None for part in left_out})
    copied.set_training_mode(False)
    return copied.requires_grad_(False).to("cpu")


def choose_moves(
    opponents: Sequence[PolicyOpponent],
    observations: NDArray[Any],
    legal: NDArray[np.bool_],
    sizes: Sequence[int],
) -> NDArray[np.intp]:
    """
    Let several opponents choose moves: together if they play alike, otherwise one after the other.

    :param opponents: the opponents
    :param observations: those of the first opponent, then those of the next one, shape (boards, ...)
    :param legal: mask of the legal actions, shape (boards, actions)
    :param sizes: number of boards of each opponent
    :return: a legal action for each board, shape (boards,)
    """
    first, *others = opponents
    if others and first.kind is not None and all(other.kind == first.kind for other in others):
        return first.choose_together(others, observations, legal, sizes)
    ends = np.cumsum(sizes)
    parts = [slice(end - size, end) for end, size in zip(ends, sizes, strict=True)]
    moves = [each.choose(observations[part], legal[part]) for each, part in zip(opponents, parts, strict=True)]
    return np.concatenate(moves)
