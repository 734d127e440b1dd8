"""The stopping rules inside a training: over its episodes, over evaluations, and over a resume."""

from __future__ import annotations

import json
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
import torch
from stable_baselines3 import PPO
from stable_baselines3.common.env_util import make_vec_env
from stable_baselines3.common.vec_env import DummyVecEnv, VecEnv

from sb3_ext.callbacks import ConvergenceStopCallback, EvaluationCallback, PlateauStopCallback

torch.set_num_threads(1)


class ScheduledEnv(gym.Env[Any, Any]):
    """Two steps an episode; the return of the nth episode is ``returns[n]``, the last one over and over."""

    observation_space = gym.spaces.Box(-1, 1, (1,), np.float32)
    action_space = gym.spaces.Discrete(2)

    def __init__(self, returns: list[float]) -> None:
        self.returns = returns
        self.episode = -1

    def reset(self, *, seed: int | None = None, options: Any = None) -> tuple[Any, dict[str, Any]]:
        super().reset(seed=seed)
        self.episode += 1
        self.is_second = False
        return np.zeros(1, np.float32), {}

    def step(self, action: Any) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        reward = self.returns[min(self.episode, len(self.returns) - 1)] if self.is_second else 0.0
        is_over, self.is_second = self.is_second, True
        return np.zeros(1, np.float32), reward, is_over, False, {}


def make_scheduled(returns: list[float]) -> VecEnv:
    return make_vec_env(lambda: ScheduledEnv(returns), 1)


def make_model(env: VecEnv) -> PPO:
    return PPO("MlpPolicy", env, n_steps=8, batch_size=8, n_epochs=1, device="cpu", policy_kwargs={"net_arch": [4]})


def find_stop(callback: Any, returns: list[float], *, others: tuple[Any, ...] = ()) -> tuple[str | None, int]:
    """:return: the reason, and the number of episodes after which training stopped; at most 100"""
    model = make_model(make_scheduled(returns))
    model.learn(200, callback=[*others, callback])
    return callback.stop_reason, callback.episodes


@pytest.mark.parametrize(
    ("returns", "stop"),
    [
        ([1, 5, 5, 5, 5], ("converged", 4)),
        ([5, 5, 1, 5, 5, 5], ("converged", 6)),
        ([-5, 1, 2, 3], (None, 100)),
    ],
)
def test_converges_over_training_episodes(returns: list[float], stop: tuple[str | None, int]) -> None:
    assert find_stop(ConvergenceStopCallback(5, window=2, patience=2), returns) == stop


def test_stops_at_the_boundary_when_asked_to() -> None:
    reason, episodes = find_stop(ConvergenceStopCallback(5, window=1, patience=2, at_boundary=True), [5])

    # Met after two episodes; the rollout of eight steps holds four.
    assert (reason, episodes) == ("converged", 4)


@pytest.mark.parametrize(
    ("arguments", "returns", "stop"),
    [
        ({"patience": 2, "window": 2}, [3, 3], ("plateau", 6)),
        ({"patience": 2, "window": 2}, [-9, -9, -8, -8, -7, -7, -7], ("plateau", 10)),
        ({"patience": 2, "window": 2, "min_delta": 2.0}, [-9, -9, -8, -8, -7, -7, -7], ("plateau", 6)),
        ({"patience": 2, "window": 2, "warm_up": 5}, [3], ("plateau", 14)),
        ({"patience": 2, "window": 1}, list(range(100)), (None, 100)),
        # Averages 5 and 6 with standard errors of 5: better, but within two errors.
        ({"patience": 1, "window": 2, "min_delta": 2, "in_standard_errors": True}, [0, 10, 1, 11], ("plateau", 4)),
    ],
)
def test_reaches_a_plateau_over_training_episodes(
    arguments: dict[str, Any], returns: list[float], stop: tuple[str | None, int]
) -> None:
    assert find_stop(PlateauStopCallback(**arguments), returns) == stop


@pytest.mark.parametrize(
    ("make_callback", "reason"),
    [
        (lambda evaluations: ConvergenceStopCallback(5, window=1, patience=2, evaluations=evaluations), "converged"),
        (lambda evaluations: PlateauStopCallback(patience=2, evaluations=evaluations), "plateau"),
    ],
)
def test_stops_by_evaluations_instead_of_episodes(make_callback: Any, reason: str) -> None:
    evaluations = EvaluationCallback(make_scheduled([1, 5]), every_steps=8, episodes=1)
    callback = make_callback(evaluations)
    checks: list[int] = []
    evaluations.on_evaluation.append(lambda step, _: checks.append(step))

    # Training's own episodes alone would meet the one rule later, the other after 60.
    stop = find_stop(callback, [1, 1, 1, 1, 5] if reason == "converged" else [0], others=(evaluations,))

    # Evaluations find 1, 5, 5, 5, …
    expected = {"converged": [8, 16, 24], "plateau": [8, 16, 24, 32]}[reason]
    assert checks == expected
    assert stop[0] == reason


def test_best_average_is_tracked() -> None:
    callback = ConvergenceStopCallback(100, window=2)
    find_stop(callback, [-9, -3, -5, -20])
    assert callback.best_average == -4


@pytest.mark.parametrize(
    "make_callback",
    [
        lambda: ConvergenceStopCallback(5, window=3, patience=4),
        lambda: PlateauStopCallback(patience=2, window=3, warm_up=1),
    ],
)
@pytest.mark.parametrize("split", [1, 3, 4, 5])
def test_a_resumed_training_stops_where_the_uninterrupted_one_does(make_callback: Any, split: int) -> None:
    returns = [1.0, 2.0, 5.0, 6.0, 7.0, 5.0, 5.0]
    reason, episodes = find_stop(make_callback(), returns)
    first = make_callback()
    make_model(make_scheduled(returns)).learn(0, callback=first)
    for value in returns[:split]:
        first._finish_episode({"episode": {"r": value, "l": 2}})

    second = make_callback()
    second.load_state_dict(json.loads(json.dumps(first.state_dict())))

    assert reason is not None
    assert find_stop(second, returns[split:]) == (reason, episodes)


def test_episodes_without_a_monitor_are_an_error() -> None:
    model = make_model(DummyVecEnv([lambda: ScheduledEnv([1])]))

    with pytest.raises(ValueError, match="the environments have no monitor"):
        model.learn(64, callback=ConvergenceStopCallback(5))


@pytest.mark.parametrize(
    ("make_callback", "message"),
    [
        (lambda: ConvergenceStopCallback(5, window=0), "window must be positive, but got 0"),
        (lambda: PlateauStopCallback(window=-1), "window must be positive, but got -1"),
        (lambda: PlateauStopCallback(patience=0), "patience must be positive, but got 0"),
    ],
)
def test_arguments_out_of_range_are_refused(make_callback: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make_callback()


@pytest.mark.parametrize(
    ("callback", "rule", "numbers"),
    [
        (
            PlateauStopCallback(patience=2, window=3),
            "early stopping (plateau): no improvement in 2 checks in a row, one check after every 3 episodes",
            "no mean return of episodes above 1.00 at 2 checks in a row",
        ),
        (
            ConvergenceStopCallback(1.0, window=3, patience=2),
            "early stopping (converged): the mean of the last 3 episodes is 1 or more at 2 checks in a row, one check "
            "after every episode",
            "mean return 1.00 of the last 3 episodes, target 1",
        ),
    ],
)
def test_the_log_has_the_frequency_of_checks(
    callback: PlateauStopCallback | ConvergenceStopCallback,
    rule: str,
    numbers: str,
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level("INFO")
    reason, episodes = find_stop(callback, [1.0])
    begun, stopped = caplog.messages
    assert begun == rule
    assert stopped == f"stopping at step {2 * episodes}: {reason}: {numbers}"


def test_the_log_has_evaluations_as_checks(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    env = make_scheduled([1.0])
    evaluations = EvaluationCallback(env, every_steps=8, episodes=1)
    make_model(env).learn(8, callback=[evaluations, PlateauStopCallback(patience=2, evaluations=evaluations)])
    assert (
        "early stopping (plateau): no improvement in 2 checks in a row, one check after every evaluation" in caplog.text
    )
