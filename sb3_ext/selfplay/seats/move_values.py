"""Value every legal move of a position by the position that it leads to."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from sb3_ext.selfplay.games.game import Boards, Game
from sb3_ext.selfplay.solvers.move_search import try_moves

ValueFunction: TypeAlias = Callable[[NDArray[Any]], NDArray[np.float32]]
"""From observations of the players to move, shape (positions, ...), to the values for them, shape (positions,)."""


def compute_move_values(
    game: Game, boards: Boards, compute_values: ValueFunction, discount: float
) -> NDArray[np.float32]:
    """
    Look one move ahead.

    :param game: a zero-sum game; not modified
    :param boards: boards whose games are not over
    :param compute_values: values positions for the player to move
    :param discount: of the value after one move
    :return: for the player to move, the reward of each action plus the discounted value of the position after it; -inf
        for illegal actions; shape (boards, actions)
    """
    rows, actions, players, children, results = try_moves(game, boards)
    copies = np.arange(len(rows))
    values = results.rewards[copies, players]
    running = np.flatnonzero(~results.ends)
    if running.size:
        movers = children.movers[running]
        found = discount * compute_values(children.observe(running, movers))
        values[running] += np.where(movers == players[running], found, -found)
    table = np.full((len(boards), int(game.action_space.n)), -np.inf, np.float32)
    table[rows, actions] = values
    return table
