"""What a solver finds: the result of every move with perfect play."""

from __future__ import annotations

from typing import NamedTuple, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from sb3_ext.selfplay.games.game import Boards, Game

ILLEGAL = -2
"""Value of an illegal action."""

_MOST_PLIES = 1 << 14


class Solution(NamedTuple):
    """
    The result of every action on each of several boards, if both players play perfectly afterwards: the winner wins as
    soon as possible, and the loser loses as late as possible.

    :param values: from the perspective of the player to move: 1 for a win, 0 for a draw, -1 for a loss,
        :data:`ILLEGAL` for an illegal action; shape (boards, actions), int8
    :param plies: number of moves until the end of the game, including this one; any number for an illegal action; shape
        (boards, actions), int16
    """

    values: NDArray[np.int8]
    plies: NDArray[np.int16]

    @property
    def best_values(self) -> NDArray[np.int8]:
        """Value of each position, shape (boards,)."""
        return np.asarray(self.values.max(axis=1))

    @property
    def right_moves(self) -> NDArray[np.bool_]:
        """Mask of the moves that keep the value of the position, shape (boards, actions)."""
        return np.asarray(self.values == self.best_values[:, None])

    @property
    def best_moves(self) -> NDArray[np.bool_]:
        """Mask of the fastest wins, else of the draws, else of the latest losses, shape (boards, actions)."""
        ranks = self._rank()
        return np.asarray(self.right_moves & (ranks == ranks.max(axis=1, keepdims=True)))

    @property
    def plies_left(self) -> NDArray[np.int16]:
        """Number of moves until the end of the game with perfect play, shape (boards,)."""
        ranks = self._rank() + np.where(self.values == 0, self.plies, 0)  # of draws, the longest
        return np.take_along_axis(self.plies, ranks.argmax(axis=1)[:, None], axis=1)[:, 0]

    @property
    def has_choice(self) -> NDArray[np.bool_]:
        """Whether a legal move loses value, shape (boards,)."""
        return np.asarray(((self.values != ILLEGAL) & ~self.right_moves).any(axis=1))

    def _rank(self) -> NDArray[np.int64]:
        return self.values.astype(np.int64) * _MOST_PLIES - self.values * self.plies.astype(np.int64)


class Solver(Protocol):
    """Computes the results of moves."""

    name: str
    """Shown in tables, with the version or the depth."""
    is_exact: bool
    """Whether all values are proven."""

    def solve(self, game: Game, boards: Boards) -> Solution:
        """
        :param game: the game; not modified
        :param boards: boards whose games are not over
        :return: the result of every action
        """


@runtime_checkable
class SupportsSolving(Protocol):
    """What a game may have so that agents can be compared with perfect play; see :class:`Solution`."""

    def solve(self, boards: Boards) -> tuple[NDArray[np.int8], NDArray[np.int16]]:
        """
        :param boards: boards whose games are not over
        :return: ``values`` and ``plies`` of a :class:`Solution`
        """
