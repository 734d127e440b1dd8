"""Matches between two players, on tic-tac-toe."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from sb3_ext.errors import SelfPlayError
from sb3_ext.selfplay.games.openings import play_random_openings
from sb3_ext.selfplay.matches.match_play import MatchResult, Tally, play_match
from sb3_ext.selfplay.opponents.function_opponent import FunctionOpponent

MakeToy = Callable[..., Any]


def take_first_cell(observations: Any, legal: Any) -> Any:
    return legal.argmax(axis=1)


def win_or_take_last_cell(observations: Any, legal: Any) -> Any:
    lines = np.array([[0, 1, 2], [3, 4, 5], [6, 7, 8], [0, 3, 6], [1, 4, 7], [2, 5, 8], [0, 4, 8], [2, 4, 6]])
    actions = legal.shape[1] - 1 - legal[:, ::-1].argmax(axis=1)
    for row, own in enumerate(observations[:, :9] > 0):
        for line in lines:
            missing = [cell for cell in line if not own[cell]]
            if len(missing) == 1 and legal[row, missing[0]]:
                actions[row] = missing[0]
    return actions


def play(game: Any, first: Any, second: Any, seed: int = 0, **arguments: Any) -> MatchResult:
    return play_match(game, first, second, generator=np.random.default_rng(seed), **arguments)


def test_the_first_move_decides_between_players_who_fill_the_board_in_order(make_toy: MakeToy) -> None:
    player = FunctionOpponent(take_first_cell)
    result = play(make_toy(3), player, player, opening_plies=(0, 0))
    # 0 X, 1 O, 2 X, 3 O, 4 X, 5 O, 6 X: the diagonal 2, 4, 6
    assert result.scores.tolist() == [[1, 0]] * 3
    assert result.by_seat == (Tally(3, 0, 0), Tally(0, 0, 3))
    assert result.total == Tally(3, 0, 3)
    assert result.distinct_games == 2  # one a seat, though six were played


def test_the_match_seen_from_the_other_side(make_toy: MakeToy) -> None:
    strong, weak = FunctionOpponent(win_or_take_last_cell), FunctionOpponent(take_first_cell)
    ours, theirs = play(make_toy(50), strong, weak), play(make_toy(50), weak, strong)
    np.testing.assert_array_equal(ours.scores, 1 - theirs.scores[:, ::-1])
    assert ours.total == theirs.total.reverse()
    assert ours.total.score > 0.55
    assert ours.distinct_games == theirs.distinct_games


def test_a_player_against_itself_scores_a_half(make_toy: MakeToy, make_player: MakeToy) -> None:
    repeating = FunctionOpponent(win_or_take_last_cell)
    assert play(make_toy(100), repeating, repeating).total.score == 0.5  # every opening once from either side
    low, high = play(make_toy(500), make_player("a", 1), make_player("b", 2)).total.interval95
    assert low < 0.5 < high


def test_both_seats_have_the_same_openings(make_toy: MakeToy, make_player: MakeToy) -> None:
    seen: dict[str, list[Any]] = {"a": [], "b": []}

    def watch(name: str) -> Any:
        def act(observations: Any, legal: Any) -> Any:
            seen[name].append(observations)
            return legal.argmax(axis=1)

        return FunctionOpponent(act, name)

    play(make_toy(20), watch("a"), watch("b"), opening_plies=(2, 2))
    # After two plies seat 0 is to move: a on the first half of the boards, b on the second.
    np.testing.assert_array_equal(seen["a"][0], seen["b"][0])
    assert (seen["a"][0].sum(axis=1) == 2).all()


def test_openings_have_every_length_asked_for_and_never_end_the_game(make_toy: MakeToy) -> None:
    game = make_toy(400)
    boards = np.arange(400)
    play_random_openings(game, boards, np.random.default_rng(0), 2, 4)
    assert set((game.cells >= 0).sum(axis=1)) == {2, 3, 4}
    game.reset(boards)
    play_random_openings(game, boards, np.random.default_rng(0), 7, 8)
    stones = (game.cells >= 0).sum(axis=1)
    assert set(stones) == {0, 7, 8}  # over before: begun without any


def test_moves_of_a_turn_belong_to_the_player_to_move(make_toy: MakeToy, make_player: MakeToy) -> None:
    result = play(make_toy(200, moves_a_turn=2), make_player("a", 1), make_player("b", 2), opening_plies=(0, 0))
    first, second = result.by_seat
    assert first.games == second.games == 200
    assert first.score > second.score  # two moves in a row at the start are worth something


def test_the_same_seeds_give_the_same_match(make_toy: MakeToy, make_player: MakeToy) -> None:
    results = [play(make_toy(50), make_player("a", 1), make_player("b", 2), seed) for seed in (7, 7, 8)]
    np.testing.assert_array_equal(results[0].scores, results[1].scores)
    assert not np.array_equal(results[0].scores, results[2].scores)


def test_games_may_end_with_the_first_move(make_folding: MakeToy) -> None:
    fold = FunctionOpponent(lambda observations, legal: np.zeros(len(legal), dtype=int), "fold")
    go_on = FunctionOpponent(lambda observations, legal: np.ones(len(legal), dtype=int), "go on")
    result = play(make_folding(20), go_on, fold, opening_plies=(0, 0))
    assert result.total == Tally(40, 0, 0)
    result = play(make_folding(20), fold, fold, opening_plies=(0, 0))  # the player who moves first loses
    assert result.by_seat == (Tally(0, 0, 20), Tally(20, 0, 0))


def test_what_an_opening_has_brought_is_part_of_the_result(make_folding: MakeToy) -> None:
    go_on = FunctionOpponent(lambda observations, legal: np.ones(len(legal), dtype=int))
    assert play(make_folding(50, stake=0.5), go_on, go_on, opening_plies=(1, 3)).total == Tally(0, 100, 0)


def test_a_match_of_a_game_that_is_not_zero_sum_is_refused(make_folding: MakeToy, make_player: MakeToy) -> None:
    with pytest.raises(SelfPlayError, match="folding: expected a zero-sum game"):
        play(make_folding(4, bonus=5.0), make_player(), make_player())


def test_an_illegal_move_names_the_player(make_toy: MakeToy, make_player: MakeToy) -> None:
    cheat = FunctionOpponent(lambda observations, legal: (~legal).argmax(axis=1), "cheat")
    with pytest.raises(SelfPlayError, match=r"'cheat' chose action 0 on board"):
        play(make_toy(4), make_player(), cheat)
