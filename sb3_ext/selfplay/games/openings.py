"""Random openings, so that deterministic players do not repeat the same game."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from sb3_ext.selfplay.games.game import Boards, Game
from sb3_ext.selfplay.games.legality import draw_legal


def play_random_openings(
    game: Game, boards: Boards, generator: np.random.Generator, min_plies: int, max_plies: int
) -> NDArray[np.float32]:
    """
    Play random moves at the start of games. A game that ends during its opening is reset and starts without one.

    :param game: the game; modified in place
    :param boards: boards with newly started games
    :param generator: random generator of the moves and their number
    :param min_plies: minimum number of moves
    :param max_plies: maximum number of moves; drawn uniformly
    :return: rewards of both players during the openings, shape (boards, 2)
    """
    plies = generator.integers(min_plies, max_plies, len(boards), endpoint=True)
    left: NDArray[np.bool_] = np.ones(len(boards), dtype=np.bool_)
    rewards = np.zeros((len(boards), 2), dtype=np.float32)
    for ply in range(max_plies):
        chosen = left & (plies > ply)
        moving = boards[chosen]
        if not moving.size:
            break
        found, ended = game.play(moving, draw_legal(game.find_legal(moving), generator))
        rewards[chosen] += found
        if ended.any():
            places = np.flatnonzero(chosen)[ended]
            left[places] = False
            rewards[places] = 0.0
            game.reset(moving[ended])
    return rewards
