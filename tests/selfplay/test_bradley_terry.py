"""Ratings from games, against known strengths and against another way to the greatest likelihood."""

from __future__ import annotations

import math
from itertools import combinations

import numpy as np
import pytest

from sb3_ext.errors import Sb3ExtError
from sb3_ext.selfplay.matches.bradley_terry import PairScores, rate_players

STRENGTHS = (0.0, 150.0, 400.0, 700.0)


def compute_score(elo_difference: float) -> float:
    """The score that Elo's model expects of the player that is rated higher by this."""
    return 1 / (1 + 10 ** (-elo_difference / 400))


def draw_pairings(games: int, seed: int = 0, strengths: tuple[float, ...] = STRENGTHS) -> list[PairScores]:
    generator = np.random.default_rng(seed)
    return [
        PairScores(i, j, (generator.random(games) < compute_score(strengths[i] - strengths[j])).astype(float))
        for i, j in combinations(range(len(strengths)), 2)
    ]


def fit_by_mm(num_players: int, pairings: list[PairScores], anchor: int) -> list[float]:
    """Hunter's MM algorithm (2004), with the virtual draws: slow, simple, and nothing like Newton's method."""
    wins = np.zeros((num_players, num_players))
    for pairing in pairings:
        wins[pairing.first, pairing.second] += pairing.scores.sum() + 0.5
        wins[pairing.second, pairing.first] += (1 - pairing.scores).sum() + 0.5
    games, strengths = wins + wins.T, np.ones(num_players)
    for _ in range(20_000):
        strengths = wins.sum(axis=1) / (games / (strengths[:, None] + strengths)).sum(axis=1)
        strengths /= strengths[anchor]
    return [400 * math.log10(strength) for strength in strengths.tolist()]


def test_known_strengths_are_found() -> None:
    ratings = rate_players(4, draw_pairings(100_000), anchor=0)
    assert [rating.elo for rating in ratings] == pytest.approx(STRENGTHS, abs=8)


def test_the_fit_is_the_one_that_another_method_finds() -> None:
    pairings = draw_pairings(50, seed=3)
    expected = fit_by_mm(4, pairings, anchor=2)
    assert [rating.elo for rating in rate_players(4, pairings, anchor=2)] == pytest.approx(expected, abs=1e-4)


def test_two_players_have_the_closed_form_and_draws_are_half_wins() -> None:
    scores = np.array([1.0] * 60 + [0.5] * 20 + [0.0] * 20)
    rating = rate_players(2, [PairScores(1, 0, scores)], anchor=0)[1]
    assert rating.elo == pytest.approx(400 * math.log10(70.5 / 30.5))


def test_pairs_of_games_count_as_two_games_each() -> None:
    pairs = rate_players(2, [PairScores(1, 0, np.array([1.0, 0.5]), games_per_sample=2)], anchor=0)
    games = rate_players(2, [PairScores(1, 0, np.array([1.0, 1.0, 1.0, 0.0]))], anchor=0)
    assert pairs[1].elo == pytest.approx(games[1].elo)


def test_a_perfect_score_is_finite_and_has_an_interval() -> None:
    anchor, winner = rate_players(2, [PairScores(1, 0, np.ones(1000))], anchor=0)
    assert winner.elo == pytest.approx(400 * math.log10(1000.5 / 0.5))
    assert 900 < winner.low < winner.elo
    assert math.isfinite(winner.high)
    assert (anchor.elo, anchor.low, anchor.high) == (0, 0, 0)


def test_players_far_apart_converge() -> None:
    ladder = [PairScores(i + 1, i, np.ones(10_000)) for i in range(6)]
    ratings = rate_players(7, ladder, anchor=0, resamples=5)
    step = 400 * math.log10(10_000.5 / 0.5)
    assert [rating.elo for rating in ratings] == pytest.approx([i * step for i in range(7)], rel=1e-6)


def test_intervals_hold_the_true_strength_in_95_of_100_leagues() -> None:
    covered = []
    for seed in range(150):
        ratings = rate_players(3, draw_pairings(200, seed, STRENGTHS[:3]), anchor=0, seed=seed, resamples=300)
        covered += [ratings[i].low <= STRENGTHS[i] <= ratings[i].high for i in (1, 2)]
    assert np.mean(covered) == pytest.approx(0.95, abs=0.035)


@pytest.mark.parametrize("seed", range(6))
def test_every_interval_holds_its_own_rating(seed: int) -> None:
    # Ten openings from either side, and players so far apart that most scores are perfect.
    pairings = [
        PairScores(pairing.first, pairing.second, pairing.scores.reshape(-1, 2).mean(axis=1), games_per_sample=2)
        for pairing in draw_pairings(20, seed, (0, 300, 500, 700, 800, 1200, 1500))
    ]
    for rating in rate_players(7, pairings, anchor=0, seed=seed, resamples=200):
        assert rating.low <= rating.elo <= rating.high


def test_pairs_that_say_the_same_twice_have_wider_intervals() -> None:
    scores = (np.random.default_rng(1).random(200) < 0.6).astype(float)
    single = rate_players(2, [PairScores(1, 0, np.repeat(scores, 2))], anchor=0)[1]
    paired = rate_players(2, [PairScores(1, 0, scores, games_per_sample=2)], anchor=0)[1]
    assert paired.elo == pytest.approx(single.elo)
    assert paired.high - paired.low > 1.25 * (single.high - single.low)


def test_the_same_seed_gives_the_same_intervals() -> None:
    pairings = draw_pairings(100)
    assert rate_players(4, pairings, anchor=0, seed=5) == rate_players(4, pairings, anchor=0, seed=5)
    assert rate_players(4, pairings, anchor=0, seed=5) != rate_players(4, pairings, anchor=0, seed=6)


def test_players_without_games_against_the_others_are_named() -> None:
    pairings = [PairScores(0, 1, np.ones(5)), PairScores(2, 3, np.ones(5)), PairScores(1, 2, np.ones(0))]
    with pytest.raises(Sb3ExtError, match=r"players \[2, 3\] with player 0"):
        rate_players(4, pairings, anchor=0)
