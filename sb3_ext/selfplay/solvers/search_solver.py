"""A search of a limited depth, for games that have no exact solver."""

from __future__ import annotations

import numpy as np

from sb3_ext.selfplay.games.game import Boards, Game
from sb3_ext.selfplay.solvers.move_search import find_winners, rate_moves, try_moves
from sb3_ext.selfplay.solvers.solution import ILLEGAL, Solution


class SearchSolver:
    """
    Searches a number of moves ahead. Results beyond the horizon are unknown and count as draws, with one ply more than
    the depth.

    :param depth: number of moves (of both players) to search, at least 2
    :raises ValueError: if ``depth`` is too small
    """

    is_exact = False

    def __init__(self, depth: int = 6) -> None:
        if depth < 2:
            raise ValueError(f"depth must be at least 2, but got {depth}")
        self.name = f"depth-limited search, {depth} plies"
        self.depth = depth

    def solve(self, game: Game, boards: Boards) -> Solution:
        """See :class:`~sb3_ext.selfplay.solvers.solution.Solver`."""
        rows, actions, players, children, results = try_moves(game, boards)
        values = np.where(results.ends, find_winners(results.rewards, players), 0)
        plies = np.ones(len(rows), np.int64)
        is_open = np.flatnonzero(~results.ends)
        if len(is_open):
            depth = self.depth - 1
            ratings = rate_moves(children, is_open, depth).max(axis=1)
            own = np.where(children.movers[is_open] == players[is_open], ratings, -ratings)
            values[is_open] = np.sign(own)
            # A rating is larger by one for each move that the game ends earlier.
            plies[is_open] = 2 + depth - np.abs(own)
        shape = len(boards), int(game.action_space.n)
        solution = Solution(np.full(shape, ILLEGAL, np.int8), np.zeros(shape, np.int16))
        solution.values[rows, actions] = values
        solution.plies[rows, actions] = plies
        return solution
