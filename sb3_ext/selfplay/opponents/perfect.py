"""An opponent that makes no mistakes, for games that can be solved."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from sb3_ext.errors import SelfPlayError
from sb3_ext.selfplay.games.game import Boards, Game
from sb3_ext.selfplay.opponents.heuristics import RandomOpponent
from sb3_ext.selfplay.solvers.solution import Solver
from sb3_ext.selfplay.solvers.solver_choice import choose_solver


class PerfectOpponent(RandomOpponent):
    """
    Wins as soon as possible, else draws, else loses as late as possible; draws uniformly from equal moves.

    It needs a game with an exact solver: see :func:`~sb3_ext.selfplay.solvers.solver_choice.choose_solver`.

    :param seed: seed of its random generator
    :param name: shown in tables and pictures
    """

    def __init__(self, seed: int | np.random.SeedSequence | None = None, name: str = "perfect") -> None:
        super().__init__(seed, name)
        self._solver: Solver | None = None

    def _find_candidates(self, game: Game, boards: Boards) -> NDArray[np.bool_]:
        if self._solver is None:
            self._solver = choose_exact_solver(game)
        return self._solver.solve(game, boards).best_moves


def choose_exact_solver(game: Game) -> Solver:
    """
    :param game: any game; not modified
    :return: its exact solver
    :raises SelfPlayError: if the game has none
    :raises MissingExtraError: if it is not installed
    """
    solver = choose_solver(game)
    if not solver.is_exact:
        raise SelfPlayError(
            f"{game.id} is too large to be solved exactly, and has no method solve(); "
            "use alpha_beta, which searches a few moves ahead, instead of perfect"
        )
    return solver
