"""The agent is rated as it trains."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from stable_baselines3 import DQN, PPO
from stable_baselines3.common.callbacks import BaseCallback
from stable_baselines3.common.vec_env import VecMonitor

from sb3_ext.callbacks import EpisodeLoggingCallback, MetricsCallback, RatingCallback
from sb3_ext.selfplay.matches.ratings import OnlineRatings
from sb3_ext.selfplay.pool.opponent_samplers import MixedSampler
from sb3_ext.selfplay.seats.self_play_env import SelfPlayVecEnv

MakeToy = Callable[..., Any]


class GameRecorder(BaseCallback):
    def __init__(self) -> None:
        super().__init__()
        self.games: list[tuple[str, float]] = []

    def _on_step(self) -> bool:
        self.games += [(info["opponent"], info["result"]) for info in self.locals["infos"] if "opponent" in info]
        return True


def make_ppo(make_toy: MakeToy, make_player: MakeToy, names: tuple[str, ...], **arguments: Any) -> PPO:
    opponents = [(make_player(name, seed), 1.0) for seed, name in enumerate(names)]
    env = SelfPlayVecEnv(make_toy(4), MixedSampler(opponents, seed=0), illegal_move="random_legal", seed=0)
    return PPO("MlpPolicy", VecMonitor(env), n_steps=16, batch_size=64, n_epochs=1, seed=0, device="cpu", **arguments)


def test_every_game_is_rated_once_in_order(make_toy: MakeToy, make_player: MakeToy) -> None:
    rating, recorder = RatingCallback(), GameRecorder()
    make_ppo(make_toy, make_player, ("a", "b")).learn(256, callback=[rating, recorder])
    expected = OnlineRatings()
    for name, result in recorder.games:
        expected.record(name, result)
    assert rating.ratings.games == rating.episodes == len(recorder.games) > 20
    assert rating.ratings.state_dict() == expected.state_dict()
    assert set(rating.ratings.state_dict()) == {"agent", "a", "b"}


def test_games_against_oneself_say_nothing_and_past_selves_start_as_the_agent(
    make_toy: MakeToy, make_player: MakeToy
) -> None:
    rating, recorder = RatingCallback("step_", unrated=["self"]), GameRecorder()
    make_ppo(make_toy, make_player, ("self", "random", "step_000000100")).learn(256, callback=[rating, recorder])
    expected = OnlineRatings()
    for name, result in recorder.games:
        if name != "self":
            if name == "step_000000100":
                expected.add_past_self(name)
            expected.record(name, result)
    assert rating.ratings.state_dict() == expected.state_dict()
    assert rating.episodes > rating.ratings.games > 0


def test_the_rating_is_logged_and_told(make_toy: MakeToy, make_player: MakeToy) -> None:
    rating, metrics = RatingCallback(), MetricsCallback()
    told: list[float] = []
    rating.on_rating.append(lambda agent: told.append(agent.mu))
    callbacks = [rating, EpisodeLoggingCallback(1), metrics]
    make_ppo(make_toy, make_player, ("a",)).learn(192, callback=callbacks, log_interval=None)
    logged = metrics.history.to_dict()["training"]["rating/mu"]
    assert logged == told  # one a rollout
    assert len(told) == 3
    assert told[-1] == rating.ratings.agent.mu


def test_off_policy_algorithms_are_rated_too(make_toy: MakeToy, make_player: MakeToy) -> None:
    rating = RatingCallback()
    env = SelfPlayVecEnv(make_toy(2), make_player("a"), illegal_move="lose", seed=0)
    DQN("MlpPolicy", env, learning_starts=50, buffer_size=500, seed=0, device="cpu").learn(100, callback=rating)
    assert rating.ratings.games > 5
    assert rating.ratings.agent.mu < 25 < rating.ratings.find("a").mu  # illegal moves lose


def test_other_environments_are_passed_over() -> None:
    rating = RatingCallback()
    PPO("MlpPolicy", "CartPole-v1", n_steps=64, batch_size=64, n_epochs=1, device="cpu").learn(64, callback=rating)
    assert rating.ratings.games == 0
    assert rating.ratings.state_dict() == {}


def test_nothing_resets_on_a_resume(make_toy: MakeToy, make_player: MakeToy) -> None:
    whole = RatingCallback()
    games = [("a", 1.0), ("b", -1.0), ("a", 0.0)] * 20
    infos = [{"opponent": name, "result": result} for name, result in games]
    for info in infos:
        whole._finish_episode(info)
    first, second = RatingCallback(), RatingCallback()
    for info in infos[:25]:
        first._finish_episode(info)
    second.load_state_dict(json.loads(json.dumps(first.state_dict())))
    for info in infos[25:]:
        second._finish_episode(info)
    assert second.state_dict() == whole.state_dict()
    assert second.episodes == second.ratings.games == len(games)


@pytest.mark.parametrize("result", [np.float32(1), np.int8(1)])
def test_results_may_be_numpy_scalars(result: Any) -> None:
    rating = RatingCallback()
    rating._finish_episode({"opponent": "a", "result": result})
    assert rating.ratings.agent.mu > 25
    json.dumps(rating.state_dict())
