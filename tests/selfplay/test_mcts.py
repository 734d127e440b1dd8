"""Tree search by OpenSpiel: on the same positions, by the same rules."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from importlib import import_module
from typing import Any

import numpy as np
import pytest

from openspiel import needs_openspiel
from sb3_ext.errors import MissingExtraError, SelfPlayError
from sb3_ext.selfplay.games.connect4 import Connect4
from sb3_ext.selfplay.matches.match_play import play_match
from sb3_ext.selfplay.opponents.heuristics import RandomOpponent
from sb3_ext.selfplay.opponents.mcts import MctsOpponent, describe_positions, find_openspiel_name

MakeToy = Callable[..., Any]

pytestmark = needs_openspiel


@pytest.mark.parametrize("size", [(6, 7, 4), (4, 5, 3)])
def test_positions_and_rules_are_those_of_openspiel(size: tuple[int, int, int]) -> None:
    game, generator = Connect4(1, *size), np.random.default_rng(0)
    rules = import_module("pyspiel").load_game(find_openspiel_name(game))
    board = np.zeros(1, dtype=np.intp)
    for _ in range(20):
        game.reset(board)
        played, is_over = rules.new_initial_state(), False
        while not is_over:
            (position,) = describe_positions(game, board)
            built = rules.new_initial_state(json.dumps(position))
            assert str(built) == str(played)
            assert built.current_player() == game.movers[0]
            assert built.legal_actions() == np.flatnonzero(game.find_legal(board)[0]).tolist()
            action = generator.choice(built.legal_actions())
            played.apply_action(action)
            rewards, ends = game.play(board, np.array([action]))
            is_over = bool(ends[0])
            assert is_over == played.is_terminal()
        assert rewards[0].tolist() == played.returns()


def make_position(moves: list[int]) -> Connect4:
    game = Connect4(1)
    for move in moves:
        game.play(np.zeros(1, dtype=np.intp), np.array([move]))
    return game


def test_it_wins_at_once_where_it_can_and_blocks_where_it_must() -> None:
    for moves, best in (([0, 6, 0, 6, 0, 5], 0), ([0, 6, 1, 6, 4, 6], 6), ([2, 0, 2, 0, 6, 0], 0)):
        assert MctsOpponent(200, seed=0).act(make_position(moves), np.zeros(1, dtype=np.intp)).tolist() == [best]


def test_it_beats_random() -> None:
    result = play_match(Connect4(5), MctsOpponent(50, seed=0), RandomOpponent(1), generator=np.random.default_rng(0))
    assert result.total.score >= 0.9


def test_its_moves_go_on_from_its_state() -> None:
    game, boards = Connect4(6), np.arange(6)
    player = MctsOpponent(5, seed=0)
    player.act(game, boards)
    state = player.state_dict()
    first = [player.act(game, boards).tolist() for _ in range(3)]
    other = MctsOpponent(5, seed=1)
    other.load_state_dict(state)
    assert [other.act(game, boards).tolist() for _ in range(3)] == first


def test_a_game_that_openspiel_is_not_told_of_is_refused(make_toy: MakeToy) -> None:
    assert find_openspiel_name(make_toy()) is None
    with pytest.raises(SelfPlayError, match="not for toy"):
        MctsOpponent().act(make_toy(), np.zeros(1, dtype=np.intp))


def test_without_openspiel_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pyspiel", None)
    with pytest.raises(MissingExtraError, match=r"sb3-ext\[league\]'; its packages need Python 3\.11 or later"):
        MctsOpponent()


def test_rollouts_are_positive() -> None:
    with pytest.raises(ValueError, match="rollouts must be positive, but got 0"):
        MctsOpponent(0)
