"""Let policies move in solved positions, without the game."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from stable_baselines3.common.policies import BasePolicy
from stable_baselines3.common.vec_env import VecNormalize

from sb3_ext.checkpoints.formats.vecnormalize_file import capture_normalization
from sb3_ext.selfplay.games.game import Game
from sb3_ext.selfplay.opponents.observation_statistics import make_normalize
from sb3_ext.selfplay.opponents.policy_opponent import PolicyOpponent
from sb3_ext.selfplay.positions.move_quality import MoveQuality
from sb3_ext.selfplay.positions.position_set import PositionSet


class PositionExam:
    """
    Solved positions as a policy observes them. It can be pickled, also if the game cannot.

    :param positions: the positions
    :param game: their game; not modified
    """

    def __init__(self, positions: PositionSet, game: Game) -> None:
        boards, everything = positions.place(game), np.arange(len(positions))
        self.positions = positions
        self._observations: NDArray[Any] = boards.observe(everything, boards.movers)
        self._legal = boards.find_legal(everything)

    def measure(self, policy: BasePolicy, normalizer: VecNormalize | None = None) -> MoveQuality:
        """
        :param policy: see :class:`~sb3_ext.selfplay.opponents.policy_opponent.PolicyOpponent`; its most likely legal
            moves count
        :param normalizer: normalises observations as in training
        :return: the quality of its moves
        :raises SelfPlayError: if the policy is of a kind that cannot be an opponent
        """
        normalize = make_normalize(None if normalizer is None else capture_normalization(normalizer))
        player = PolicyOpponent(policy, "agent", deterministic=True, normalize=normalize)
        return MoveQuality(self.positions, player.choose(self._observations, self._legal))
