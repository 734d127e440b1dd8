"""The solver that a game has itself."""

from __future__ import annotations

import numpy as np

from sb3_ext.errors import SelfPlayError
from sb3_ext.selfplay.games.game import Boards, Game
from sb3_ext.selfplay.solvers.solution import ILLEGAL, Solution, SupportsSolving


class OwnSolver:
    """
    Asks the game's own method ``solve``, whose answers are checked for shape and range.

    :param game_id: name of the game
    """

    is_exact = True

    def __init__(self, game_id: str) -> None:
        self.name = f"solve() of {game_id}"

    def solve(self, game: Game, boards: Boards) -> Solution:
        """See :class:`~sb3_ext.selfplay.solvers.solution.Solver`."""
        assert isinstance(game, SupportsSolving)
        values, plies = map(np.asarray, game.solve(boards))
        legal = game.find_legal(boards)
        for name, found in (("values", values), ("plies", plies)):
            if found.shape != legal.shape or not np.issubdtype(found.dtype, np.integer):
                raise SelfPlayError(
                    f"{self.name}: expected {name} as integers of shape {legal.shape}, (boards, actions), "
                    f"but got {found.dtype} of shape {found.shape}"
                )
        if not np.isin(values[legal], (-1, 0, 1)).all():
            strange = values[legal][~np.isin(values[legal], (-1, 0, 1))][0]
            raise SelfPlayError(f"{self.name}: expected 1, 0 or -1 as the value of a legal move, but got {strange}")
        wrong = int(plies[legal].min(initial=1))
        if wrong < 1:
            raise SelfPlayError(f"{self.name}: expected at least 1 ply until the end, but got {wrong}")
        return Solution(np.where(legal, values, ILLEGAL).astype(np.int8), plies.astype(np.int16))
