"""Choose how to solve a game."""

from __future__ import annotations

import logging
from importlib.util import find_spec

from sb3_ext.interruption import NEVER, Interruption
from sb3_ext.selfplay.games.game import Game
from sb3_ext.selfplay.games.pettingzoo_game import PettingZooGame
from sb3_ext.selfplay.solvers.connect4_solver import Connect4Solver, is_standard_connect4, make_missing_error
from sb3_ext.selfplay.solvers.fingerprint import compute_fingerprint
from sb3_ext.selfplay.solvers.game_table import GameTable, TableSolver, UnsolvableGame, make_game_table
from sb3_ext.selfplay.solvers.own_solver import OwnSolver
from sb3_ext.selfplay.solvers.search_solver import SearchSolver
from sb3_ext.selfplay.solvers.solution import Solver, SupportsSolving
from sb3_ext.selfplay.solvers.solved_files import load_solved, save_solved

logger = logging.getLogger(__name__)

_TABLES: dict[str, TableSolver | None] = {}
"""Of the games of this process, by fingerprint; ``None`` for games that are too large."""

_MOST_POSITIONS = 2_000_000  # half a minute of Connect4
_MOST_PETTINGZOO_POSITIONS = 6_000  # also half a minute: each is a Python environment


def check_installed(game: Game) -> None:
    """
    :param game: any game
    :raises MissingExtraError: if its solver is not installed
    """
    if not isinstance(game, SupportsSolving) and is_standard_connect4(game) and find_spec("bitbully") is None:
        raise make_missing_error()


def choose_solver(game: Game, interruption: Interruption = NEVER) -> Solver:
    """
    Choose an exact solver if there is one: the game's own method ``solve``
    (:class:`~sb3_ext.selfplay.solvers.solution.SupportsSolving`); BitBully for Connect4 on 6 rows and 7 columns; a
    table of all positions of a small game. Other games are searched a few moves ahead.

    A table is kept in the cache directory.

    :param game: any game; not modified
    :param interruption: checked while a table is made
    :return: the solver; its ``is_exact`` says which kind it is
    :raises MissingExtraError: if it is not installed
    """
    if isinstance(game, SupportsSolving):
        return OwnSolver(game.id)
    if is_standard_connect4(game):
        return Connect4Solver()
    fingerprint = compute_fingerprint(game)
    if fingerprint not in _TABLES:
        _TABLES[fingerprint] = _provide_table(game, fingerprint, interruption)
    return _TABLES[fingerprint] or SearchSolver()


def _provide_table(game: Game, fingerprint: str, interruption: Interruption) -> TableSolver | None:
    most = _MOST_PETTINGZOO_POSITIONS if isinstance(game, PettingZooGame) else _MOST_POSITIONS
    key = ("table", fingerprint, most)
    found = load_solved(*key)
    if found is None:
        logger.info("solving all positions of %s …", game.id)
        try:
            found = vars(make_game_table(game, most, interruption))
        except UnsolvableGame as error:
            logger.info("%s: searching instead", error)
            found = {}
        save_solved(found, *key)
    return TableSolver(GameTable(**found)) if found else None
