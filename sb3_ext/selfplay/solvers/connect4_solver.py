"""Connect4 on 6 rows and 7 columns, solved by BitBully."""

from __future__ import annotations

from functools import cache
from importlib import import_module
from importlib.metadata import version
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sb3_ext.errors import MissingExtraError
from sb3_ext.selfplay.games.connect4 import Connect4
from sb3_ext.selfplay.games.game import Boards, Game
from sb3_ext.selfplay.solvers.solution import ILLEGAL, Solution

_SIZE = (6, 7, 4)
_CELLS = 42
_MOST_STONES_LEFT = 22
"""A score is this number minus the stones of the winner at the end of the game."""


class Connect4Solver:
    """
    Exact values by https://github.com/MarkusThill/BitBully, with its book of openings. It takes microseconds in late
    positions, and up to a second with 12 to 14 stones.

    :raises MissingExtraError: if BitBully is not installed
    """

    is_exact = True

    def __init__(self) -> None:
        self._agent, self._board_class = _load_bitbully()
        self.name = f"BitBully {version('bitbully')}"

    def solve(self, game: Game, boards: Boards) -> Solution:
        """See :class:`~sb3_ext.selfplay.solvers.solution.Solver`."""
        cells = _read_cells(game, boards)
        scores = np.full((len(boards), int(game.action_space.n)), -_CELLS)
        for row, cell in enumerate(cells.tolist()):
            for column, score in self._agent.score_all_moves(self._board_class(cell)).items():
                scores[row, column] = score
        stones = (cells > 0).sum(axis=(1, 2))[:, None]
        own, other = stones // 2, (stones + 1) // 2  # of the player to move, and of the other one
        win = 2 * (_MOST_STONES_LEFT - scores - own) - 1
        loss = 2 * (_MOST_STONES_LEFT + scores - other)
        plies = np.where(scores > 0, win, np.where(scores < 0, loss, _CELLS - stones))
        values = np.where(game.find_legal(boards), np.sign(scores), ILLEGAL)
        return Solution(values.astype(np.int8), plies.astype(np.int16))


def is_standard_connect4(game: Game) -> bool:
    """:return: whether it is Connect4 of the usual size, this package's or PettingZoo's"""
    if isinstance(game, Connect4):
        layout = game.rules.layout
        return (layout.rows, layout.cols, layout.in_a_row) == _SIZE
    return game.id.startswith("pettingzoo.classic.connect_four_")


def make_missing_error() -> MissingExtraError:
    """:return: the error without BitBully"""
    return MissingExtraError("the exact solver of Connect4", "solver")


def _read_cells(game: Game, boards: Boards) -> NDArray[np.int8]:
    """:return: 1 for stones of the player who moved first, 2 for the other's, else 0; shape (boards, 6, 7)"""
    planes = game.observe(boards, np.zeros(len(boards), np.int8)).astype(np.int8)
    first, second = (planes[:, 0], planes[:, 1]) if isinstance(game, Connect4) else (planes[..., 0], planes[..., 1])
    return np.asarray(first + 2 * second)


@cache
def _load_bitbully() -> tuple[Any, Any]:
    """:return: the solver, which takes half a second to load its book, and the class of its boards"""
    try:
        bitbully = import_module("bitbully")
    except ImportError as error:
        raise make_missing_error() from error
    return bitbully.BitBully(), bitbully.Board
