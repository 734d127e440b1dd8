"""What every game inherits must pass for a right one, and must fail for a wrong one."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from sb3_ext.selfplay.conformance import GameConformance
from sb3_ext.selfplay.games.connect4 import Connect4
from sb3_ext.selfplay.games.game import Game, MoveResults


class TestToy(GameConformance):
    @pytest.fixture(autouse=True)
    def _take_toy(self, make_toy: Callable[..., Game]) -> None:
        self.make_toy = make_toy

    def make_game(self, num_boards: int) -> Game:
        return self.make_toy(num_boards)


class TestToyWithTwoMovesATurn(TestToy):
    def make_game(self, num_boards: int) -> Game:
        return self.make_toy(num_boards, 2)


class BranchesThatShare(Connect4):
    def branch(self, boards: Any) -> Connect4:
        return self if len(boards) == self.num_boards else super().branch(boards)


class ResetsEverything(Connect4):
    def reset(self, boards: Any) -> None:
        super().reset(np.arange(self.num_boards))


class ForgetsItsSnapshot(Connect4):
    def load_state_dict(self, snapshot: Any) -> None:
        pass


class SnapshotIsNoCopy(Connect4):
    def state_dict(self) -> Any:
        return {"stones": self.rules.stones, "heights": self.rules.heights, "plies": self.rules.plies}


class BothWin(Connect4):
    def play(self, boards: Any, actions: Any) -> MoveResults:
        rewards, ends = super().play(boards, actions)
        return MoveResults(np.abs(rewards), ends)


class SortsTheBoards(Connect4):
    def find_legal(self, boards: Any) -> Any:
        return super().find_legal(np.sort(boards))


class ReusesItsObservations(Connect4):
    def observe(self, boards: Any, players: Any) -> Any:
        self.buffers = getattr(self, "buffers", {})
        new = super().observe(boards, players)
        key = (len(boards), self.rules.plies.tobytes(), np.asarray(players).tobytes())
        return self.buffers.setdefault(key, new)


class NeverEnds(Connect4):
    def play(self, boards: Any, actions: Any) -> MoveResults:
        results = super().play(boards, actions)
        self.rules.reset(boards[results.ends])
        return MoveResults(results.rewards, np.zeros_like(results.ends))


class WrongType(Connect4):
    def observe(self, boards: Any, players: Any) -> Any:
        return super().observe(boards, players).astype(np.float64)


class SecondBegins(Connect4):
    @property
    def movers(self) -> Any:
        return 1 - super().movers


@pytest.mark.parametrize(
    ("game_class", "test"),
    [
        (BranchesThatShare, "test_branches_are_independent_and_may_repeat_a_board"),
        (ResetsEverything, "test_a_reset_begins_anew_on_the_boards_that_are_named"),
        (ForgetsItsSnapshot, "test_a_loaded_state_restores_everything"),
        (SnapshotIsNoCopy, "test_a_loaded_state_restores_everything"),
        (BothWin, "test_every_game_ends_with_rewards_for_both"),
        (SortsTheBoards, "test_the_order_of_boards_is_the_order_of_answers"),
        (ReusesItsObservations, "test_observations_are_of_the_space_and_new_arrays"),
        (NeverEnds, "test_every_game_ends_with_rewards_for_both"),
        (WrongType, "test_observations_are_of_the_space_and_new_arrays"),
        (SecondBegins, "test_a_new_game_has_the_first_player_to_move"),
    ],
)
def test_a_wrong_game_fails(game_class: type[Connect4], test: str) -> None:
    class Conformance(GameConformance):
        num_boards = 5

        def make_game(self, num_boards: int) -> Game:
            return game_class(num_boards, rows=3, cols=4, in_a_row=3)

    with pytest.raises(AssertionError):
        getattr(Conformance(), test)()
