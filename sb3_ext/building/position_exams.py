"""Make the solved positions of evaluations during training."""

from __future__ import annotations

import logging

from sb3_ext.building.game_environments import make_configured_game
from sb3_ext.config.schema import RunConfig
from sb3_ext.interruption import NEVER, Interruption
from sb3_ext.selfplay.positions.position_draw import provide_positions
from sb3_ext.selfplay.positions.position_exam import PositionExam
from sb3_ext.selfplay.solvers.solver_choice import choose_solver

logger = logging.getLogger(__name__)

_SEED = 1_000_003
"""Of the positions in all runs, so that runs can be compared; not a seed that one would give to a league."""


def make_position_exam(config: RunConfig, per_cell: int, interruption: Interruption = NEVER) -> PositionExam:
    """
    :param config: the whole configuration, with a section ``game``
    :param per_cell: number of positions of each phase and difficulty
    :param interruption: checked while positions are solved
    :return: the positions of ``eval.positions``
    :raises MissingExtraError: if the game's solver is not installed
    """
    game = make_configured_game(config, 1)
    solver = choose_solver(game, interruption)
    positions = provide_positions(game, solver, per_cell, _SEED, interruption=interruption)
    logger.info("evaluations count right moves in %s", positions.describe())
    return PositionExam(positions, game)
