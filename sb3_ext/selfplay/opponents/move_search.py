"""Looking some moves ahead, on many boards at once, in any game."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from sb3_ext.selfplay.games.game import Boards, Game, MoveResults

_MOST_CHILDREN = 1 << 15  # positions in memory at once on each level


def rate_moves(game: Game, boards: Boards, depth: int) -> NDArray[np.int64]:
    """
    Negamax over all positions up to a depth, many at a time, with the two cuts that matter in a game of win and loss.

    A position in which a move wins at once is not looked into any further; and two moves before the horizon, where
    most of the positions are, one move that does not lose is enough. A game is won by the player who gets more for its
    last move than the other. What is open at the horizon counts as a draw.

    :param game: not changed
    :param boards: whose games are not over; one may stand several times
    :param depth: moves to look ahead, at least 1
    :return: of every action: 0 for a draw or nothing seen, positive for a win, the higher the sooner, negative for a
        loss, the lower the sooner, and ``-depth - 1`` where it is illegal; shape (boards, actions). Where a move wins
        at once, the others are not looked into, and have 0 unless they end the game
    """
    return np.concatenate([_rate_moves_of_part(game, part, depth) for part in _split(game, boards)])


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


def _rate_moves_of_part(game: Game, boards: Boards, depth: int) -> NDArray[np.int64]:
    rows, actions, players, children, results = try_moves(game, boards)
    values = np.where(results.ends, find_winners(results.rewards, players) * depth, 0)
    if depth > 1:
        open_children = _find_open(rows, values, results.ends)
        values[open_children] = _rate_positions(children, open_children, players[open_children], depth - 1)
    ratings = np.full((len(boards), int(game.action_space.n)), -depth - 1, np.int64)
    ratings[rows, actions] = values
    return ratings


def _rate_positions(game: Game, boards: Boards, players: NDArray[np.int8], depth: int) -> NDArray[np.int64]:
    """:return: what the best move leads to, seen by the given players, shape (boards,)"""
    if depth == 2:
        best = np.concatenate([_rate_last_two_moves(game, part) for part in _split(game, boards)])
    else:
        best = rate_moves(game, boards, depth).max(axis=1)
    return np.where(game.movers[boards] == players, best, -best)


def _rate_last_two_moves(game: Game, boards: Boards) -> NDArray[np.int64]:
    rows, _, players, children, results = try_moves(game, boards)
    values = np.where(results.ends, find_winners(results.rewards, players) * 2, 0)
    best = np.full(len(boards), -2, np.int64)
    np.maximum.at(best, rows[results.ends], values[results.ends])
    open_children = _find_open(rows, values, results.ends)
    parents = rows[open_children]
    # Who could not win with the first move cannot with the second, unless that is its own, too.
    bounds = np.zeros(len(boards), np.int64)
    bounds[parents[children.movers[open_children] == players[open_children]]] = 1
    counts = np.bincount(parents, minlength=len(boards))
    turns = np.arange(len(parents)) - (counts.cumsum() - counts)[parents]  # each parent's first child, second child, …
    for turn in range(int(turns.max(initial=-1)) + 1):
        is_next = (turns == turn) & (best < bounds)[parents]
        chosen, chosen_rows = open_children[is_next], parents[is_next]
        ratings = _rate_positions(children, chosen, players[chosen], depth=1)
        best[chosen_rows] = np.maximum(best[chosen_rows], ratings)
    return best


def _find_open(rows: NDArray[np.intp], values: NDArray[np.int64], ends: NDArray[np.bool_]) -> NDArray[np.intp]:
    """:return: children whose game is not over, of parents of whose moves none wins at once"""
    is_won = np.zeros(int(rows.max(initial=-1)) + 1, np.bool_)
    is_won[rows[values > 0]] = True
    return np.flatnonzero(~ends & ~is_won[rows])


def _split(game: Game, boards: Boards) -> list[NDArray[np.intp]]:
    """:return: parts with few enough children each, at least one part"""
    children = len(boards) * int(game.action_space.n)
    return np.array_split(boards, max(1, -(-children // _MOST_CHILDREN)))
