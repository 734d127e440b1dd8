"""Values of all legal moves by a lookahead of one move."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from sb3_ext.selfplay.seats.move_values import compute_move_values

MakeToy = Callable[..., Any]
DISCOUNT = 0.5


def count_own(observations: NDArray[Any]) -> NDArray[np.float32]:
    """Value a position by the stones of the player to move."""
    return observations[:, :9].sum(axis=1).astype(np.float32)


@pytest.mark.parametrize(("moves_a_turn", "expected"), [(1, -DISCOUNT * 1), (2, DISCOUNT * 1)])
def test_the_value_after_a_move_counts_for_the_player_who_moves_next(
    make_toy: MakeToy, moves_a_turn: int, expected: float
) -> None:
    game = make_toy(2, moves_a_turn)
    if moves_a_turn == 1:  # one stone each; with two moves in a row, the first player also has one after its first move
        for move in (0, 1):
            game.play(np.array([1]), np.array([move]))
    values = compute_move_values(game, np.array([1]), count_own, DISCOUNT)
    legal = game.find_legal(np.array([1]))
    assert (values[~legal] == -np.inf).all()
    assert values[legal] == pytest.approx(expected)


def test_the_end_of_a_game_has_its_reward_alone(make_toy: MakeToy) -> None:
    game = make_toy(3)
    for move in (0, 3, 1, 4):
        game.play(np.array([2]), np.array([move]))
    before = game.cells.copy()
    values = compute_move_values(game, np.array([0, 2]), count_own, DISCOUNT)
    assert values.shape == (2, 9)
    assert values[1, 2] == 1.0  # three in a row
    assert values[1, 8] == -DISCOUNT * 2
    assert (game.cells == before).all()
