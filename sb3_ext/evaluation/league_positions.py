"""Players of a league against the truth: their moves in solved positions."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sb3_ext.errors import MissingExtraError
from sb3_ext.selfplay.games.game import Game
from sb3_ext.selfplay.matches.round_robin import Player
from sb3_ext.selfplay.positions.move_quality import Mistake, MoveQuality, measure_moves
from sb3_ext.selfplay.positions.position_draw import provide_positions
from sb3_ext.selfplay.positions.position_set import PositionSet
from sb3_ext.selfplay.solvers.solver_choice import choose_solver

logger = logging.getLogger(__name__)

_MOST_MISTAKES = 5


@dataclass(frozen=True)
class LeaguePositions:
    """
    The moves of players in solved positions.

    :param positions: the positions
    :param qualities: of each player's moves
    :param mistakes: the worst mistakes of the best and the latest agent, by index of the player
    """

    positions: PositionSet
    qualities: tuple[MoveQuality, ...]
    mistakes: dict[int, list[Mistake]]

    def to_json(self, players: Sequence[Player]) -> dict[str, Any]:
        """
        :param players: the players
        :return: shares of right moves and worst mistakes, as plain JSON
        """
        return {
            "solver": self.positions.solver,
            "is_exact": self.positions.is_exact,
            "is_complete": self.positions.is_complete,
            "players": [
                {
                    "name": player.name,
                    **quality.to_json(),
                    "worst_mistakes": [mistake._asdict() for mistake in self.mistakes.get(index, [])],
                }
                for index, (player, quality) in enumerate(zip(players, self.qualities, strict=True))
            ],
        }


def measure_players(game: Game, players: Sequence[Player], per_cell: int, seed: int) -> LeaguePositions | None:
    """
    :param game: the game; not modified
    :param players: the players
    :param per_cell: number of positions of each phase and difficulty
    :param seed: seed of the positions
    :return: their moves; ``None`` if the solver is not installed
    """
    try:
        solver = choose_solver(game)
    except MissingExtraError as error:
        logger.info("left out: play against the truth: %s", error)
        return None
    positions = provide_positions(game, solver, per_cell, seed)
    qualities = tuple(measure_moves(positions, game, player.opponent) for player in players)
    mistakes = {
        index: quality.find_worst(game, _MOST_MISTAKES)
        for index, (player, quality) in enumerate(zip(players, qualities, strict=True))
        if player.is_main
    }
    return LeaguePositions(positions, qualities, mistakes)
