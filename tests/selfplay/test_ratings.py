"""Ratings game by game: of players whose strength is known."""

from __future__ import annotations

import json

import numpy as np
import pytest
from openskill.models import PlackettLuce

from sb3_ext.selfplay.matches.ratings import OnlineRating, OnlineRatings, rate_game


def compute_score(elo_difference: float) -> float:
    """The score that Elo's model expects of the player that is rated higher by this."""
    return 1 / (1 + 10 ** (-elo_difference / 400))


def play(ratings: OnlineRatings, opponents: dict[str, float], agent: float, games: int, seed: int = 0) -> None:
    """Rate games of an agent with a known Elo against opponents with theirs."""
    generator = np.random.default_rng(seed)
    for name in generator.choice(list(opponents), games):
        ratings.record(str(name), 1.0 if generator.random() < compute_score(agent - opponents[name]) else -1.0)


@pytest.mark.parametrize("result", [1.0, -1.0, 0.0])
def test_a_game_is_rated_as_openskill_rates_it(result: float) -> None:
    generator, model = np.random.default_rng(0), PlackettLuce(tau=0.0)
    for _game in range(50):
        (mu, sigma), (other_mu, other_sigma) = generator.uniform((0, 0.3), (50, 9), size=(2, 2)).tolist()
        teams = [[model.rating(mu, sigma)], [model.rating(other_mu, other_sigma)]]
        [[first], [second]] = model.rate(teams, ranks=[0.0, result])
        found = rate_game(OnlineRating(mu, sigma), OnlineRating(other_mu, other_sigma), result)
        assert found[0] == pytest.approx((first.mu, first.sigma), rel=1e-12)
        assert found[1] == pytest.approx((second.mu, second.sigma), rel=1e-12)


def test_initial_ratings_are_equal() -> None:
    ratings = OnlineRatings()
    assert ratings.agent == ratings.find("random") == pytest.approx((25, 25 / 3))
    assert ratings.games == 0


def test_a_win_lifts_the_agent_and_a_draw_against_a_stronger_one_too() -> None:
    ratings = OnlineRatings()
    ratings.record("a", 1.0)
    assert ratings.agent.mu > 25 > ratings.find("a").mu
    assert ratings.agent.sigma < 25 / 3
    before = ratings.agent
    ratings.record("a", -1.0)
    assert ratings.agent.mu < before.mu
    drawn = OnlineRatings()
    drawn.load_state_dict({"agent": {"mu": 20, "sigma": 2, "games": 5}, "a": {"mu": 30, "sigma": 2, "games": 5}})
    drawn.record("a", 0.0)
    assert 20 < drawn.agent.mu < drawn.find("a").mu < 30


def test_ratings_stand_in_the_order_of_true_strengths() -> None:
    ratings = OnlineRatings()
    play(ratings, {"weak": 0, "middle": 300, "strong": 700}, agent=500, games=2000)
    assert list(ratings.state_dict()) == ["strong", "agent", "middle", "weak"]
    assert ratings.games == 2000


def test_differences_are_those_of_the_true_strengths() -> None:
    ratings = OnlineRatings()
    play(ratings, {"weak": 300}, agent=500, games=5000)
    points_a_unit = 400 / np.log(10) / (np.sqrt(2) * 25 / 6)  # openskill's logistic function has the width √2 β
    assert (ratings.agent.mu - ratings.find("weak").mu) * points_a_unit == pytest.approx(200, abs=60)


def test_the_agent_keeps_moving_and_its_opponents_settle() -> None:
    ratings = OnlineRatings()
    play(ratings, {"fixed": 300}, agent=0, games=5000)
    settled, start = ratings.find("fixed"), ratings.agent
    play(ratings, {"fixed": 300}, agent=600, games=1000)
    assert ratings.agent.mu - start.mu > 10
    assert abs(ratings.find("fixed").mu - settled.mu) < 0.3 * (ratings.agent.mu - start.mu)
    assert ratings.find("fixed").sigma < 1 < ratings.agent.sigma < 3


def test_a_past_self_begins_where_the_agent_is_and_is_left_alone_then() -> None:
    ratings = OnlineRatings()
    play(ratings, {"fixed": 300}, agent=600, games=100)
    ratings.add_past_self("past")
    assert ratings.find("past") == ratings.agent
    kept = ratings.find("past")
    ratings.record("fixed", -1.0)
    ratings.add_past_self("past")
    assert ratings.find("past") == kept


def test_ratings_survive_json_to_the_last_bit() -> None:
    ratings = OnlineRatings()
    play(ratings, {"a": 100, "b": 400}, agent=200, games=50)
    ratings.add_past_self("past")
    copy = OnlineRatings()
    copy.load_state_dict(json.loads(json.dumps(ratings.state_dict())))
    for each in (ratings, copy):
        play(each, {"a": 100, "past": 200}, agent=200, games=50, seed=1)
    assert copy.state_dict() == ratings.state_dict()
    assert copy.games == ratings.games == 100
