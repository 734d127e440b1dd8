"""The statistics of an evaluation."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from typing import Any

import pytest
from stable_baselines3 import PPO
from stable_baselines3.common.env_util import make_vec_env

from sb3_ext.evaluation.episode_loop import Episode
from sb3_ext.evaluation.evaluate import evaluate, summarize


def make_episodes(*returns: float, successes: tuple[bool | None, ...] | None = None) -> list[Episode]:
    outcomes = successes or (None,) * len(returns)
    return [Episode(index, returns[index], 10 + index, outcomes[index]) for index in range(len(returns))]


def test_statistics_of_a_worked_example() -> None:
    evaluation = summarize(make_episodes(-1.0, -2.0, -6.0), seed=7)

    assert (evaluation.episodes, evaluation.returns, evaluation.lengths) == (3, (-1.0, -2.0, -6.0), (10, 11, 12))
    assert (evaluation.mean_return, evaluation.median_return, evaluation.mean_length) == (-3.0, -2.0, 11.0)
    assert evaluation.std_return == pytest.approx(math.sqrt(14 / 3))
    # s = sqrt(7), t(2) = 4.3027
    assert evaluation.ci95 == pytest.approx((-3 - 6.5724, -3 + 6.5724), abs=1e-3)
    assert evaluation.success_rate is None
    assert evaluation.seed == 7


@pytest.mark.parametrize(
    ("successes", "rate"), [((True, False, True, True), 0.75), ((False,) * 4, 0.0), ((None, True, None, False), 0.5)]
)
def test_success_rate_is_over_the_episodes_that_report_one(successes: tuple[Any, ...], rate: float) -> None:
    assert summarize(make_episodes(1, 2, 3, 4, successes=successes)).success_rate == rate


def test_one_episode_has_no_interval() -> None:
    evaluation = summarize(make_episodes(5.0))

    assert (evaluation.ci95, evaluation.std_return) == (None, 0.0)


def test_json_is_strict_and_plain() -> None:
    evaluation = replace(summarize(make_episodes(1.0, 3.0)), mean_return=math.nan, returns=(math.inf, 1.0))

    plain = json.loads(json.dumps(evaluation.to_json(), allow_nan=False))

    assert plain["mean_return"] is None
    assert plain["returns"] == [None, 1.0]
    assert plain["ci95"] == list(evaluation.ci95 or ())
    assert plain.keys() >= {
        "mean_return",
        "std_return",
        "episodes",
        "returns",
        "lengths",
        "ci95",
        "success_rate",
        "seed",
    }


def test_infinite_returns_are_survived() -> None:
    assert summarize(make_episodes(math.inf, 1.0)).to_json()["std_return"] is None


def test_evaluates_a_model() -> None:
    model = PPO("MlpPolicy", "CartPole-v1", n_steps=16, batch_size=16, device="cpu", seed=0)
    evaluation = evaluate(model, make_vec_env("CartPole-v1", 2), 5, seed=3)

    assert evaluation.episodes == len(evaluation.returns) == 5
    assert evaluation == evaluate(model, make_vec_env("CartPole-v1", 2), 5, seed=3)


def test_zero_episodes_is_an_error() -> None:
    with pytest.raises(ValueError, match="episodes must be positive, but got 0"):
        evaluate(None, make_vec_env("CartPole-v1", 1), 0)
