"""Batched game-tree search that works with every game."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from sb3_ext.selfplay.games.game import Boards, Game, MoveResults

_MOST_CHILDREN = 1 << 15  # positions in memory at once on each level


def rate_moves(game: Game, boards: Boards, depth: int) -> NDArray[np.int64]:
    """
    Batched negamax search up to a depth, with two cuts.

    A position with a winning move is not expanded; and two moves before the horizon, where most positions are, the
    search of a position ends with the first move that does not lose. The winner of a game is the player with the larger
    reward for its last move. A game that is not over at the horizon counts as a draw.

    :param game: the game; not modified
    :param boards: boards whose games are not over; duplicates are allowed
    :param depth: number of moves to search, at least 1
    :return: value of every action, shape (boards, actions): positive for a win (larger if sooner), negative for a loss
        (smaller if sooner), 0 for a draw or an unknown result, ``-depth - 1`` for an illegal action. If a move wins at
        once, the other moves of that board are not searched: 0 unless they end the game
    """
    return np.concatenate([_rate_moves_of_part(game, part, depth) for part in _split(game, boards)])


def find_winners(rewards: NDArray[np.float32], players: NDArray[np.integer[Any]]) -> NDArray[np.int64]:
    """
    :param rewards: rewards of the last move of each game, shape (boards, 2)
    :param players: the perspective, 0 or 1, shape (boards,)
    :return: 1 if that player won, -1 if it lost, else 0, shape (boards,)
    """
    signs = np.sign(rewards[:, 0] - rewards[:, 1]).astype(np.int64)
    return np.asarray(np.where(players == 0, signs, -signs))


def try_moves(
    game: Game, boards: Boards
) -> tuple[NDArray[np.intp], NDArray[np.intp], NDArray[np.int8], Game, MoveResults]:
    """
    Make every legal move of every board, each on its own copy.

    :param game: the game; not modified
    :param boards: boards whose games are not over
    :return: for each copy its row in ``boards``, its action and the player who moved; the copies; the results
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
    """:return: value of the best move from the given players' perspectives, shape (boards,)"""
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
    # A player that cannot win with the first move cannot win with the second, unless it makes both.
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
    """:return: children whose games are not over and whose parents have no winning move"""
    is_won = np.zeros(int(rows.max(initial=-1)) + 1, np.bool_)
    is_won[rows[values > 0]] = True
    return np.flatnonzero(~ends & ~is_won[rows])


def _split(game: Game, boards: Boards) -> list[NDArray[np.intp]]:
    """:return: the boards in parts that limit the number of children, at least one part"""
    children = len(boards) * int(game.action_space.n)
    return np.array_split(boards, max(1, -(-children // _MOST_CHILDREN)))
