"""Positions of a game with the results of all moves."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal, TypeAlias, get_args

import numpy as np
from numpy.typing import NDArray

from sb3_ext.selfplay.games.game import Game
from sb3_ext.selfplay.solvers.solution import Solution

Phase: TypeAlias = Literal["early", "middle", "late"]
"""Thirds of the longest possible game, by the number of moves made."""
Difficulty: TypeAlias = Literal["easy", "medium", "hard"]
"""Thirds of the longest possible game, by the number of moves until the end with perfect play."""

PHASES: tuple[Phase, ...] = get_args(Phase)
DIFFICULTIES: tuple[Difficulty, ...] = get_args(Difficulty)


@dataclass(frozen=True)
class PositionSet:
    """
    Positions of a game with the results of all moves.

    They are classified as in Pascal Pons' `test sets <http://blog.gamesolver.org/solving-connect-four/02-test-protocol>`_
    of Connect4, whose longest game has 42 moves: *early* with at most 14 stones, *late* with more than 28; *easy* if
    the game ends within less than 14 moves with perfect play, *hard* if it takes 28 or more.

    :param solver: how the results were found
    :param is_exact: whether they are proven
    :param is_complete: whether these are all positions that can be reached; otherwise a random sample
    :param longest_plies: moves of the longest possible game
    :param lines: moves from the start to each position, -1 after the last; shape (positions, plies)
    :param values: of each action, see :class:`Solution`; shape (positions, actions)
    :param plies: of each action, see :class:`Solution`; shape (positions, actions)
    """

    solver: str
    is_exact: bool
    is_complete: bool
    longest_plies: int
    lines: NDArray[np.int16]
    values: NDArray[np.int8]
    plies: NDArray[np.int16]

    def __len__(self) -> int:
        return len(self.lines)

    @property
    def solution(self) -> Solution:
        """Results of all moves."""
        return Solution(self.values, self.plies)

    @property
    def phases(self) -> NDArray[np.intp]:
        """Index in :data:`PHASES`, shape (positions,)."""
        return compute_phases((self.lines >= 0).sum(axis=1), self.longest_plies)

    @property
    def difficulties(self) -> NDArray[np.intp]:
        """Index in :data:`DIFFICULTIES`, shape (positions,)."""
        return compute_difficulties(self.solution.plies_left, self.longest_plies)

    def describe(self) -> str:
        """:return: number of positions, how they were chosen and solved"""
        how = "all" if self.is_complete else "random"
        truth = self.solver if self.is_exact else f"{self.solver}: results are not proven"
        return f"{len(self):,} positions ({how}; {truth})"

    def place(self, game: Game) -> Game:
        """
        :param game: the game of these positions; not modified
        :return: a game with a board for each position
        """
        return play_lines(game, self.lines)

    def get_line(self, position: int) -> list[int]:
        """
        :param position: index
        :return: the moves that lead to it
        """
        return [move for move in self.lines[position].tolist() if move >= 0]


def play_lines(game: Game, lines: NDArray[np.integer[Any]]) -> Game:
    """
    :param game: any game; not modified
    :param lines: legal moves from the start, -1 after the last; shape (boards, plies)
    :return: a game with a board for each line
    """
    boards = game.branch(np.zeros(len(lines), np.intp))
    boards.reset(np.arange(len(lines)))
    for moves in lines.T:
        moving = np.flatnonzero(moves >= 0)
        boards.play(moving, moves[moving])
    return boards


def compute_phases(stones: NDArray[np.integer[Any]], longest_plies: int) -> NDArray[np.intp]:
    """
    :param stones: number of moves made
    :param longest_plies: moves of the longest possible game
    :return: index in :data:`PHASES`
    """
    thirds = 3 * stones.astype(np.intp)
    return (thirds > longest_plies).astype(np.intp) + (thirds > 2 * longest_plies)


def compute_difficulties(plies_left: NDArray[np.integer[Any]], longest_plies: int) -> NDArray[np.intp]:
    """
    :param plies_left: number of moves until the end with perfect play
    :param longest_plies: moves of the longest possible game
    :return: index in :data:`DIFFICULTIES`
    """
    return np.minimum(3 * plies_left.astype(np.intp) // longest_plies, 2)
