from __future__ import annotations

import numpy as np
import pytest

from sb3_ext.selfplay.games.connect4 import Connect4
from sb3_ext.selfplay.games.legality import draw_legal
from sb3_ext.selfplay.opponents.heuristics import (
    AlphaBetaOpponent,
    HeuristicOpponent,
    RandomOpponent,
    search_wins_and_threats,
)
from sb3_ext.selfplay.opponents.opponent import Opponent

NUM_BOARDS = 64
EVERYWHERE = np.arange(NUM_BOARDS)


def play_moves(moves: str, num_boards: int = NUM_BOARDS, **params: int) -> Connect4:
    """:return: a game with the same position on every board"""
    game = Connect4(num_boards, **params)
    for move in moves:
        game.play(np.arange(num_boards), np.full(num_boards, int(move)))
    return game


def list_choices(opponent: Opponent, moves: str) -> set[int]:
    return set(opponent.act(play_moves(moves), EVERYWHERE).tolist())


def play_match(first: Opponent, second: Opponent, num_games: int, **params: int) -> float:
    """:return: the mean result of the first opponent, who begins half of the games, from 0 to 1"""
    game, boards = Connect4(num_games, **params), np.arange(num_games)
    seats = boards % 2
    scores = np.full(num_games, np.nan)
    while len(boards):
        actions = np.zeros(len(boards), np.intp)
        for turn, opponent in enumerate((first, second)):
            own = (game.movers[boards] ^ seats[boards]) == turn
            actions[own] = opponent.act(game, boards[own])
        assert game.find_legal(boards)[np.arange(len(boards)), actions].all()
        results = game.play(boards, actions)
        scores[boards[results.ends]] = results.rewards[results.ends, seats[boards[results.ends]]]
        boards = boards[~results.ends]
    return float((scores.mean() + 1) / 2)


def test_a_random_opponent_plays_all_legal_moves_equally_often() -> None:
    opponent = RandomOpponent(0)
    counts = np.bincount(opponent.act(play_moves("111111", 30_000), np.arange(30_000)), minlength=7)

    assert counts[1] == 0
    assert np.abs(np.delete(counts, 1) - 5_000).max() < 300


@pytest.mark.parametrize("opponent", [HeuristicOpponent(0), AlphaBetaOpponent(2, 0), AlphaBetaOpponent(4, 0)])
@pytest.mark.parametrize(
    ("moves", "choices"),
    [
        pytest.param("010101", {0}, id="wins in the column rather than block the other column"),
        pytest.param("01020", {0}, id="blocks a column"),
        pytest.param("001122", {3}, id="wins in the row"),
        pytest.param("00112", {3}, id="blocks a row that is open on one side only"),
        pytest.param("0112232335", {3}, id="wins on the diagonal"),
        pytest.param("011322233", {3}, id="blocks the diagonal"),
    ],
)
def test_one_move_is_best(opponent: Opponent, moves: str, choices: set[int]) -> None:
    assert list_choices(opponent, moves) == choices


def test_a_heuristic_opponent_is_random_where_there_is_nothing_to_win_or_block() -> None:
    assert list_choices(HeuristicOpponent(0), "33") == set(range(7))


def test_a_heuristic_opponent_blocks_one_of_two_threats() -> None:
    assert list_choices(HeuristicOpponent(0), "22334") == {1, 5}


def test_what_only_a_search_sees() -> None:
    # First has 2 and 3 at the bottom and is to move: 1 or 4 makes two open ends, which wins by force.
    assert list_choices(AlphaBetaOpponent(3, 0), "2233") == {1, 4}
    assert list_choices(HeuristicOpponent(0), "2233") == set(range(7))
    # Second must stop that before it is made, next to the stones.
    assert list_choices(AlphaBetaOpponent(4, 0), "223") == {1, 4}


def test_a_lost_position_is_held_as_long_as_possible() -> None:
    # First threatens both ends of a row of three: all moves lose; those that block an end lose as late as the others.
    assert list_choices(AlphaBetaOpponent(2, 0), "22334") == set(range(7))


def test_the_ladder_of_strength() -> None:
    assert play_match(HeuristicOpponent(0), RandomOpponent(1), 200) > 0.9
    assert play_match(AlphaBetaOpponent(2, 0), RandomOpponent(1), 200) > 0.85
    assert play_match(AlphaBetaOpponent(4, 0), AlphaBetaOpponent(2, 1), 60) > 0.55


def test_on_one_board_as_in_a_batch() -> None:
    game = play_moves("2233")
    assert AlphaBetaOpponent(4, 0).act(game, np.array([5])).shape == (1,)
    assert AlphaBetaOpponent(4, 0).act(game, EVERYWHERE[:0]).shape == (0,)
    assert RandomOpponent(0).act(game, EVERYWHERE[:0]).shape == (0,)
    assert HeuristicOpponent(0).act(game, EVERYWHERE[:0]).shape == (0,)


@pytest.mark.parametrize("opponent_class", [RandomOpponent, HeuristicOpponent, AlphaBetaOpponent])
def test_the_state_brings_the_same_moves_back_and_the_game_is_left_alone(opponent_class: type[RandomOpponent]) -> None:
    game = play_moves("3")
    opponent, other = opponent_class(seed=1), opponent_class(seed=2)
    state, before = opponent.state_dict(), game.state_dict()
    actions = opponent.act(game, EVERYWHERE)
    other.load_state_dict(state)

    assert np.array_equal(other.act(game, EVERYWHERE), actions)
    assert not np.array_equal(other.act(game, EVERYWHERE), actions)
    for name, value in game.state_dict().items():
        assert np.array_equal(value, before[name])


def test_a_depth_of_nothing() -> None:
    with pytest.raises(ValueError, match="depth must be positive, but got 0"):
        AlphaBetaOpponent(0)


@pytest.mark.parametrize("params", [{}, {"rows": 4, "cols": 5, "in_a_row": 3}, {"rows": 9, "cols": 9}])
def test_winning_moves_are_those_that_a_search_finds(params: dict[str, int]) -> None:
    game, generator = Connect4(200, **params), np.random.default_rng(0)
    boards, compared = np.arange(200), 0
    while len(boards):
        wins, threats = search_wins_and_threats(game, boards)
        legal, movers = game.find_legal(boards), game.movers[boards]
        assert (game.find_winning_moves(boards, movers) == wins).all()
        # A threat is blocked only if there is no win, and if there is another move.
        matters = ~wins.any(axis=1) & (legal.sum(axis=1) > 1)
        found = game.find_winning_moves(boards, 1 - movers)
        assert (found[matters] == (threats & legal)[matters]).all()
        compared += int(found[matters].sum())
        ends = game.play(boards, draw_legal(legal, generator)).ends
        boards = boards[~ends]
    assert compared > 100
