"""Random openings, so that deterministic players do not repeat the same game, and openings of given moves."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from sb3_ext.selfplay.games.game import Boards, Game, SupportsSequences
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
    return play_opening_lines(game, boards, generator, np.zeros((len(boards), 0), np.int16), plies)[0]


def play_opening_lines(
    game: Game,
    boards: Boards,
    generator: np.random.Generator,
    lines: NDArray[np.int16],
    plies: NDArray[np.integer[Any]],
) -> tuple[NDArray[np.float32], NDArray[np.int16]]:
    """
    Play given or random moves at the start of games. An opening ends before a given move that is illegal, as in games
    with chance. A game that ends during its opening is reset and starts without one. If the game plays sequences of
    moves, given moves must be legal and end no game, unless the same line has random moves, too.

    :param game: the game; modified in place
    :param boards: boards with newly started games
    :param generator: random generator of the random moves
    :param lines: moves, -1 for a random one, also beyond the last column; shape (boards, any number)
    :param plies: number of moves, shape (boards,)
    :return: rewards of both players during the openings, shape (boards, 2); the moves, -1 after the last, shape
        (boards, plies)
    """
    left: NDArray[np.bool_] = np.ones(len(boards), dtype=np.bool_)
    rewards = np.zeros((len(boards), 2), dtype=np.float32)
    most = int(plies.max(initial=0))
    played = np.full((len(boards), most), -1, np.int16)
    if lines.shape[1] > 0 and isinstance(game, SupportsSequences):
        cut = played.copy()
        width = min(most, lines.shape[1])
        cut[:, :width] = np.where(np.arange(width) < plies[:, None], lines[:, :width], -1)
        known = np.flatnonzero((cut >= 0).sum(axis=1) == plies)
        game.play_sequences(boards[known], cut[known])
        played[known] = cut[known]
        left[known] = False
    for ply in range(most):
        places = np.flatnonzero(left & (plies > ply))
        if not places.size:
            break
        legal = game.find_legal(boards[places])
        if ply < lines.shape[1]:
            given = lines[places, ply]
            is_possible = (given < 0) | legal[np.arange(len(places)), np.maximum(given, 0)]
            left[places[~is_possible]] = False
            places, legal, moves = places[is_possible], legal[is_possible], given[is_possible].astype(np.intp)
            moves[moves < 0] = draw_legal(legal[moves < 0], generator)
        else:
            moves = draw_legal(legal, generator)
        found, ended = game.play(boards[places], moves)
        rewards[places] += found
        played[places, ply] = moves
        if ended.any():
            over = places[ended]
            left[over] = False
            rewards[over] = 0.0
            played[over] = -1
            game.reset(boards[over])
    return rewards, played
