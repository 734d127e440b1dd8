from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import sb3_ext.selfplay.solvers.move_search
from sb3_ext.selfplay.games.connect4 import Connect4
from sb3_ext.selfplay.games.game import Game
from sb3_ext.selfplay.opponents.heuristics import RandomOpponent
from sb3_ext.selfplay.solvers.move_search import rate_moves


def rate_slowly(game: Game, board: int, depth: int) -> list[int]:
    """Negamax as in the textbook, on one board."""
    ratings = [-depth - 1] * int(game.action_space.n)
    for action in np.flatnonzero(game.find_legal(np.array([board]))[0]):
        child = game.branch(np.array([board]))
        player = int(child.movers[0])
        result = child.play(np.array([0]), np.array([action]))
        if result.ends[0]:
            ratings[action] = int(result.rewards[0, player]) * depth
        else:
            best = max(rate_slowly(child, 0, depth - 1)) if depth > 1 else 0
            ratings[action] = best if int(child.movers[0]) == player else -best
    return ratings


def play_plies(game: Game, plies: int) -> np.ndarray:
    """:return: the boards whose games are not over after some random moves"""
    boards, player = np.arange(game.num_boards), RandomOpponent(1)
    for _ in range(plies):
        boards = boards[~game.play(boards, player.act(game, boards)).ends]
    assert len(boards) > 3
    return boards


def compare(game: Game, boards: np.ndarray, depth: int) -> np.ndarray:
    """:return: the ratings of the best moves"""
    ratings = rate_moves(game, boards, depth)
    expected = np.array([rate_slowly(game, int(board), depth) for board in boards])
    best = expected.max(axis=1)
    assert np.array_equal(ratings == best[:, None], expected == best[:, None])
    # Where a move wins at once, the others are not looked into.
    assert np.array_equal(ratings[best < depth], expected[best < depth])
    return best


@pytest.mark.parametrize(
    ("depth", "most_children"), [(1, 1 << 15), (2, 1 << 15), (3, 1 << 15), (4, 1 << 15), (4, 20), (5, 1 << 15)]
)
def test_it_is_the_plain_recursion(depth: int, most_children: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sb3_ext.selfplay.solvers.move_search, "_MOST_CHILDREN", most_children)
    game = Connect4(30, rows=3, cols=4, in_a_row=3)

    best = compare(game, play_plies(game, 4), depth)

    assert {0, depth} <= set(best.tolist())
    assert depth < 4 or best.min() < 0


@pytest.mark.parametrize("depth", [1, 2, 3])
@pytest.mark.parametrize("moves_a_turn", [1, 2])
def test_players_may_have_several_moves_in_a_row(depth: int, moves_a_turn: int, make_toy: Callable[..., Any]) -> None:
    game = make_toy(12, moves_a_turn)

    compare(game, play_plies(game, 4), depth)


def test_an_illegal_move_has_the_lowest_rating() -> None:
    game = Connect4(1, rows=1, cols=4, in_a_row=3)
    game.play(np.array([0]), np.array([2]))

    assert rate_moves(game, np.array([0]), 2)[0].tolist() == [0, 0, -3, 0]


def test_no_boards_no_ratings() -> None:
    assert [rate_moves(Connect4(1), np.arange(0), depth).shape for depth in (1, 2, 3, 4)] == [(0, 7)] * 4
