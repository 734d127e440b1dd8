"""Looking some moves ahead, on many boards at once, in any game."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from sb3_ext.selfplay.games import Boards, Game, MoveResults

_MOST_CHILDREN = 1 << 15  # positions in memory at once on each level


def rate_moves(game: Game, boards: Boards, depth: int) -> NDArray[np.int64]:
    """
    Negamax over all positions up to a depth, many at a time, with the cut that matters where a game is won or lost.

    A position in which a move wins at once is not looked into any further. A game is won by the player who gets more
    for its last move than the other. What is open at the horizon counts as a draw.

    :param game: not changed
    :param boards: whose games are not over; one may stand several times
    :param depth: moves to look ahead, at least 1
    :return: of every action: 0 for a draw or nothing seen, positive for a win, the higher the sooner, negative for a
        loss, the lower the sooner, and ``-depth - 1`` where it is illegal; shape (boards, actions). Where a move wins
        at once, the others are not looked into, and have 0 unless they end the game
    """
    num_actions = int(game.action_space.n)
    most_boards = max(1, _MOST_CHILDREN // num_actions)
    parts = [
        _rate_some(game, boards[start : start + most_boards], depth) for start in range(0, len(boards), most_boards)
    ]
    return np.concatenate(parts) if parts else np.empty((0, num_actions), np.int64)


def find_winners(rewards: NDArray[np.float32], players: NDArray[np.integer[Any]]) -> NDArray[np.int64]:
    """
    :param rewards: of the move that ended a game, shape (boards, 2)
    :param players: whose view is asked for, 0 or 1, shape (boards,)
    :return: 1 where that player has won, -1 where it has lost, else 0, shape (boards,)
    """
    signs = np.sign(rewards[:, 0] - rewards[:, 1]).astype(np.int64)
    return np.asarray(np.where(players == 0, signs, -signs))


def try_moves(
    game: Game, boards: Boards
) -> tuple[NDArray[np.intp], NDArray[np.intp], NDArray[np.int8], Game, MoveResults]:
    """
    Make every legal move of every board, on a copy each.

    :param game: not changed
    :param boards: whose games are not over
    :return: of each copy the row in ``boards``, the action and the player who moved; the copies; what came of it
    """
    rows, actions = np.nonzero(game.find_legal(boards))
    children = game.branch(boards[rows])
    players = children.movers
    return rows, actions, players, children, children.play(np.arange(len(rows)), actions)


def _rate_some(game: Game, boards: Boards, depth: int) -> NDArray[np.int64]:
    rows, actions, players, children, results = try_moves(game, boards)
    values = np.where(results.ends, find_winners(results.rewards, players) * depth, 0)
    if depth > 1:
        is_decided = np.zeros(len(boards), np.bool_)
        is_decided[rows[values > 0]] = True
        open_children = np.flatnonzero(~results.ends & ~is_decided[rows])
        replies = rate_moves(children, open_children, depth - 1).max(axis=1)
        same_player = children.movers[open_children] == players[open_children]
        values[open_children] = np.where(same_player, replies, -replies)
    ratings = np.full((len(boards), int(game.action_space.n)), -depth - 1, np.int64)
    ratings[rows, actions] = values
    return ratings
