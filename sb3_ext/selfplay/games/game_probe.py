"""Play random games before training, to detect games that self-play does not support."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from sb3_ext.errors import SelfPlayError
from sb3_ext.selfplay.games.game import Game
from sb3_ext.selfplay.games.legality import draw_legal
from sb3_ext.selfplay.games.zero_sum import check_zero_sum, find_not_zero_sum

_MOVES = 100
"""Moves in all random games together: several short games, or a fraction of a second of a slow one."""


@dataclass(frozen=True)
class GameTraits:
    """
    Properties that held in random games; other games may still break them.

    :param is_alternating: no player moved twice in a row
    :param is_zero_sum_at_every_move: the rewards of every single move summed to zero
    """

    is_alternating: bool
    is_zero_sum_at_every_move: bool


def probe_game(game: Game, *, seed: int = 0) -> GameTraits:
    """
    Play random games on the first board, up to a fixed number of moves.

    :param game: the game; its first board is reset
    :param seed: seed of the random moves
    :return: the observed properties
    :raises SelfPlayError: if the game is not zero-sum: its rewards do not sum to zero, or both players always get the
        same reward; or if a player has no legal move
    """
    board, generator = np.zeros(1, dtype=np.intp), np.random.default_rng(seed)
    is_alternating = is_zero_sum = True
    game.reset(board)
    rewards: list[np.ndarray[tuple[int, ...], np.dtype[np.float32]]] = []
    for _ in range(_MOVES):
        mover = game.movers[0]
        found, ends = game.play(board, draw_legal(game.find_legal(board), generator))
        rewards.append(found)
        is_zero_sum &= find_not_zero_sum(found) is None
        if not ends[0]:
            is_alternating &= bool(game.movers[0] != mover)
            continue
        _check_shared(game.id, np.concatenate(rewards))
        check_zero_sum(game.id, np.sum(rewards, axis=0))
        rewards.clear()
        game.reset(board)
    return GameTraits(is_alternating, is_zero_sum)


def _check_shared(game_id: str, rewards: np.ndarray[tuple[int, ...], np.dtype[np.float32]]) -> None:
    """Detect a cooperative game whose rewards sum to zero in the end (gains that both players lose again)."""
    if rewards.any() and (rewards[:, 0] == rewards[:, 1]).all():
        raise SelfPlayError(
            f"{game_id}: expected a game of two players against each other, but this one is cooperative: both players"
            " got the same rewards in a random game"
        )
