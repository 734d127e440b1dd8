"""How many of a player's moves are right."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from sb3_ext.selfplay.games.game import Game
from sb3_ext.selfplay.games.legality import check_moves
from sb3_ext.selfplay.opponents.opponent import Opponent
from sb3_ext.selfplay.positions.position_set import DIFFICULTIES, PHASES, PositionSet

RESULTS = {1: "win", 0: "draw", -1: "loss"}
"""Names of the values of positions and moves."""


class Share(NamedTuple):
    """
    How many moves are right, among some positions.

    :param positions: number of positions
    :param right: number of right moves
    :param choices: number of positions in which the choice matters
    :param right_choices: number of right moves in these
    """

    positions: int
    right: int
    choices: int
    right_choices: int

    @property
    def overall(self) -> float | None:
        """Share of right moves; ``None`` without positions."""
        return self.right / self.positions if self.positions else None

    @property
    def where_it_matters(self) -> float | None:
        """Share of right moves where the choice matters; ``None`` without such positions."""
        return self.right_choices / self.choices if self.choices else None

    def to_json(self) -> dict[str, Any]:
        """:return: counts and shares as plain JSON"""
        return {**self._asdict(), "share": self.overall, "share_where_it_matters": self.where_it_matters}


class Mistake(NamedTuple):
    """
    A move that loses value.

    :param line: moves that lead to the position
    :param board: the position as text
    :param mover: the player to move, 0 or 1
    :param move: the move
    :param result: what it leads to: ``draw`` or ``loss``
    :param plies: number of moves until then, including this one
    :param best_result: what a right move leads to: ``win`` or ``draw``
    :param right_moves: all right moves
    """

    line: list[int]
    board: str
    mover: int
    move: int
    result: str
    plies: int
    best_result: str
    right_moves: list[int]


@dataclass(frozen=True)
class MoveQuality:
    """
    A player's moves in a set of positions. A right move keeps the value of the position: win, draw or loss.

    :param positions: the positions
    :param actions: the moves, shape (positions,)
    """

    positions: PositionSet
    actions: NDArray[np.intp]

    @property
    def is_right(self) -> NDArray[np.bool_]:
        """Which moves are right, shape (positions,)."""
        return self.positions.solution.right_moves[np.arange(len(self.actions)), self.actions]

    @property
    def total(self) -> Share:
        """Of all positions."""
        return self._count(np.ones(len(self.actions), np.bool_))

    @property
    def by_cell(self) -> dict[str, Share]:
        """Of each phase and difficulty that has positions, such as ``late easy``."""
        phases, difficulties = self.positions.phases, self.positions.difficulties
        cells = {
            f"{phase} {difficulty}": self._count((phases == row) & (difficulties == column))
            for row, phase in enumerate(PHASES)
            for column, difficulty in enumerate(DIFFICULTIES)
        }
        return {name: share for name, share in cells.items() if share.positions}

    def find_worst(self, game: Game, most: int) -> list[Mistake]:
        """
        Find the worst mistakes: those that lose most, and among them those that are punished soonest.

        :param game: the game; not modified
        :param most: number of mistakes
        :return: the mistakes, the worst first
        """
        solution = self.positions.solution
        rows = np.arange(len(self.actions))
        values, plies = solution.values[rows, self.actions], solution.plies[rows, self.actions]
        lost = solution.best_values.astype(np.int64) - values
        order = np.lexsort((plies, -lost))[:most]
        boards = self.positions.place(game)
        return [
            Mistake(
                self.positions.get_line(row),
                boards.render(row),
                int(boards.movers[row]),
                int(self.actions[row]),
                RESULTS[int(values[row])],
                int(plies[row]),
                RESULTS[int(solution.best_values[row])],
                np.flatnonzero(solution.right_moves[row]).tolist(),
            )
            for row in order[lost[order] > 0].tolist()
        ]

    def to_json(self) -> dict[str, Any]:
        """:return: shares as plain JSON, in all positions and by phase and difficulty"""
        return {**self.total.to_json(), "cells": {name: share.to_json() for name, share in self.by_cell.items()}}

    def _count(self, chosen: NDArray[np.bool_]) -> Share:
        has_choice = chosen & self.positions.solution.has_choice
        is_right = self.is_right
        return Share(
            *(int(mask.sum()) for mask in (chosen, chosen & is_right, has_choice, has_choice & is_right)),
        )


def measure_moves(positions: PositionSet, game: Game, player: Opponent) -> MoveQuality:
    """
    Let a player move in each position.

    :param positions: the positions
    :param game: their game; not modified
    :param player: the player
    :return: its moves
    :raises SelfPlayError: if a move is illegal
    """
    boards = positions.place(game)
    everything = np.arange(len(positions))
    actions = np.asarray(player.act(boards, everything))
    check_moves(f"'{player.name}'", boards, everything, actions, boards.find_legal(everything))
    return MoveQuality(positions, actions)
