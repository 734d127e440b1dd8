from __future__ import annotations

import numpy as np
import pytest
from stable_baselines3.common.preprocessing import is_image_space

from sb3_ext.selfplay.conformance import GameConformance
from sb3_ext.selfplay.games.connect4 import Connect4

ONE_BOARD = np.array([0])
LAST_STONE_WINS = "043450046126602110266233423241535503161455"
DRAW = "062600630412502111336032142154456536543452"


class TestConnect4(GameConformance):
    def make_game(self, num_boards: int) -> Connect4:
        return Connect4(num_boards)


class TestSmallConnect4(GameConformance):
    def make_game(self, num_boards: int) -> Connect4:
        return Connect4(num_boards, rows=3, cols=4, in_a_row=3)


class TestConnect4OfSeveralWords(GameConformance):
    def make_game(self, num_boards: int) -> Connect4:
        return Connect4(num_boards, rows=9, cols=11, in_a_row=5)


class TestConnect4OfOneRow(GameConformance):
    def make_game(self, num_boards: int) -> Connect4:
        return Connect4(num_boards, rows=1, cols=9, in_a_row=3)


@pytest.mark.parametrize(
    ("moves", "rewards"), [("0101010", [1, -1]), ("06061626", [-1, 1]), (LAST_STONE_WINS, [-1, 1]), (DRAW, [0, 0])]
)
def test_rewards_come_with_the_last_move(moves: str, rewards: list[float]) -> None:
    game = Connect4(1)
    results = [game.play(ONE_BOARD, np.array([int(move)])) for move in moves]

    assert [bool(result.ends[0]) for result in results] == [False] * (len(moves) - 1) + [True]
    assert [result.rewards[0].tolist() for result in results] == [[0, 0]] * (len(moves) - 1) + [rewards]


def test_sb3_takes_the_observation_for_a_board_not_for_an_image() -> None:
    space = Connect4(1).observation_space

    assert space.shape == (2, 6, 7)
    assert space.dtype == np.int8
    assert not is_image_space(space)


def test_a_position_as_text() -> None:
    game = Connect4(1, rows=2, cols=12, in_a_row=3)
    for move in (0, 0, 11):
        game.play(ONE_BOARD, np.array([move]))

    assert game.render(0).splitlines() == [
        " O  .  .  .  .  .  .  .  .  .  .  .",
        " X  .  .  .  .  .  .  .  .  .  .  X",
        " 0  1  2  3  4  5  6  7  8  9 10 11",
    ]
