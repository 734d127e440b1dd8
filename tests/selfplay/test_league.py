"""A league of tic-tac-toe players."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from sb3_ext.selfplay.matches.match_play import Tally
from sb3_ext.selfplay.matches.round_robin import League, Player, play_league
from sb3_ext.selfplay.opponents.function_opponent import FunctionOpponent

MakeToy = Callable[..., Any]


def take_first_cell(observations: Any, legal: Any) -> Any:
    return legal.argmax(axis=1)


def take_centre_and_corners(observations: Any, legal: Any) -> Any:
    worth = np.array([3, 1, 3, 1, 9, 1, 3, 1, 3])
    return (legal * worth).argmax(axis=1)


@pytest.fixture
def league(make_toy: MakeToy, make_player: MakeToy) -> League:
    players = [
        Player(FunctionOpponent(take_centre_and_corners, "new"), step=300),
        Player(make_player("random")),
        Player(FunctionOpponent(take_first_cell, "old"), step=100, note="weak"),
        Player(make_player("older", 7), step=50),
    ]
    return play_league(make_toy, players, anchor=1, games=200, seed=3)


def test_a_league_of_a_game_that_may_end_at_once(make_folding: MakeToy, make_player: MakeToy) -> None:
    bold = FunctionOpponent(lambda observations, legal: np.ones(len(legal), dtype=int), "bold")
    played = play_league(make_folding, [Player(bold, step=1), Player(make_player("random"))], anchor=1, games=200)
    assert played.get_tally(0, 1).losses == 0
    assert played.get_tally(0, 1).wins > 100


def test_all_pairs_play_both_sides(league: League) -> None:
    assert list(league.results) == [(0, 1), (0, 2), (0, 3), (1, 2), (1, 3), (2, 3)]
    for pair, result in league.results.items():
        assert [tally.games for tally in league.get_tallies(*pair)] == [100, 100]
        assert result.total.games == 200


def test_the_matrix_is_the_same_from_either_side(league: League) -> None:
    for row, column in league.results:
        first, second = league.get_tallies(row, column)
        assert league.get_tallies(column, row) == (second.reverse(), first.reverse())
        assert league.get_tally(column, row) == league.get_tally(row, column).reverse()
        assert league.get_tally(row, column) == Tally(*(a + b for a, b in zip(first, second, strict=True)))
    assert league.get_tally(0, 1).score > 0.6
    first, second = league.get_tallies(1, 0)
    assert first.score > second.score  # moving first is worth something, to random, too


def test_ratings_are_points_above_the_anchor(league: League) -> None:
    new, anchor, _, older = league.ratings
    assert anchor.elo == 0
    assert new.low > 0
    assert new.elo == max(rating.elo for rating in league.ratings)
    assert abs(older.elo) < 60  # it plays at random, too


def test_forgetting_is_the_lowest_score_of_the_newest_against_earlier_ones(league: League) -> None:
    forgetting = league.compute_forgetting()
    assert forgetting is not None
    scores = {index: league.get_tally(0, index).score for index in (2, 3)}
    assert forgetting.score == min(scores.values()) == scores[forgetting.against]


def test_forgetting_needs_an_earlier_agent(make_toy: MakeToy, make_player: MakeToy) -> None:
    players = [Player(make_player("random")), Player(make_player("best", 1), 10), Player(make_player("latest", 2), 10)]
    assert play_league(make_toy, players, anchor=0, games=2).compute_forgetting() is None


def test_json_says_everything(league: League) -> None:
    content = json.loads(json.dumps(league.to_json(), allow_nan=False))
    assert [player["name"] for player in content["players"]] == ["new", "random", "old", "older"]
    assert content["players"][2]["note"] == "weak"
    assert content["players"][1]["elo"] == 0
    pairing = content["pairings"][0]
    assert (pairing["first"], pairing["second"], pairing["games"]) == ("new", "random", 200)
    assert pairing["wins"] + pairing["draws"] + pairing["losses"] == 200
    assert pairing["wins"] == pairing["moving_first"]["wins"] + pairing["moving_second"]["wins"]
    assert pairing["interval95"][0] < pairing["score"] < pairing["interval95"][1]
    assert 100 < pairing["distinct_games"] <= 200
    assert content["forgetting"]["against"] in ("old", "older")


def test_the_same_seed_gives_the_same_league(make_toy: MakeToy, make_player: MakeToy) -> None:
    def play(seed: int) -> Any:
        players = [Player(make_player("a", 1)), Player(make_player("b", 2)), Player(make_player("c", 3))]
        return play_league(make_toy, players, anchor=0, games=21, seed=seed).to_json()

    assert play(1) == play(1)
    assert play(1) != play(2)
    assert play(1)["pairings"][0]["games"] == 22  # in pairs


def test_progress_is_told_before_each_pairing(make_toy: MakeToy, make_player: MakeToy) -> None:
    told: list[tuple[int, int]] = []
    players = [Player(make_player(name)) for name in "abc"]
    play_league(make_toy, players, anchor=0, games=2, on_match=lambda done, total: told.append((done, total)))
    assert told == [(0, 3), (1, 3), (2, 3)]


def test_no_games_are_no_league(make_toy: MakeToy, make_player: MakeToy) -> None:
    with pytest.raises(ValueError, match="games must be positive, but got 0"):
        play_league(make_toy, [Player(make_player("a")), Player(make_player("b"))], anchor=0, games=0)
