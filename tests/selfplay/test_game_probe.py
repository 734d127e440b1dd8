"""Random games before training: what is no game of two players against each other is refused."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from sb3_ext.errors import SelfPlayError
from sb3_ext.selfplay.games.connect4 import Connect4
from sb3_ext.selfplay.games.game import MoveResults
from sb3_ext.selfplay.games.game_probe import GameTraits, probe_game
from sb3_ext.selfplay.games.zero_sum import check_zero_sum, find_not_zero_sum


class Shared(Connect4):
    """A cooperative game whose rewards sum to zero if it is lost: what both have gained is taken away."""

    def play(self, boards: Any, actions: Any) -> MoveResults:
        ends = super().play(boards, actions).ends
        gains = np.where(ends, -(self.rules.plies[boards] - 1.0), 1.0)
        return MoveResults(np.repeat(gains[:, None], 2, axis=1).astype(np.float32), ends)


def test_games_against_each_other(make_toy: Any, make_folding: Any) -> None:
    assert probe_game(Connect4(3)) == GameTraits(True, True)
    assert probe_game(make_toy(moves_a_turn=2)) == GameTraits(False, True)
    assert probe_game(make_folding()) == GameTraits(True, True)
    assert probe_game(make_folding(stake=0.5)) == GameTraits(True, False)


def test_a_game_whose_rewards_do_not_sum_to_zero(make_folding: Any) -> None:
    with pytest.raises(SelfPlayError, match=r"folding: expected a zero-sum game, whose rewards sum to zero"):
        probe_game(make_folding(bonus=1.0))


def test_a_cooperative_game_that_is_always_lost() -> None:
    with pytest.raises(SelfPlayError, match=r"connect4: .* but this one is cooperative: both players got the same"):
        probe_game(Shared(1, 3, 3, 3))


def test_a_player_without_a_legal_move(make_folding: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    game = make_folding()
    monkeypatch.setattr(game, "find_legal", lambda boards: np.zeros((len(boards), 2), dtype=np.bool_))
    with pytest.raises(SelfPlayError, match="a player has no legal move although the game is not over"):
        probe_game(game)


def test_a_game_that_does_not_end_is_given_up(make_folding: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    game = make_folding()
    endless = MoveResults(np.zeros((1, 2), dtype=np.float32), np.zeros(1, dtype=np.bool_))
    monkeypatch.setattr(game, "play", lambda boards, actions: endless)
    assert probe_game(game) == GameTraits(False, True)  # the same player is always to move


@pytest.mark.parametrize(
    ("rewards", "place"),
    [
        ([[1, -1], [0, 0]], None),
        ([[1e6, -1e6 + 0.5]], None),  # rounding
        ([[0.5, -0.5], [1, 0]], 1),
        ([[1, 1]], 0),
        ([[float("nan"), 0]], 0),
        (np.zeros((0, 2)), None),
    ],
)
def test_sums(rewards: Any, place: int | None) -> None:
    found = np.array(rewards, dtype=np.float32)
    assert find_not_zero_sum(found) == place
    if place is None:
        check_zero_sum("it", found)
