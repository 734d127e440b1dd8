from __future__ import annotations

import functools
import json
from collections.abc import Callable
from typing import Any

import pytest
from stable_baselines3.common.base_class import BaseAlgorithm

from sb3_ext.callbacks import FunctionCallback, TrainingStopped

MakeModel = Callable[..., BaseAlgorithm]


def test_is_called_after_every_episode_of_every_algorithm(algorithm: str, make_model: MakeModel) -> None:
    calls: list[dict[str, Any]] = []
    model = make_model(algorithm).learn(40, callback=FunctionCallback(calls.append))
    assert [call["episode"] for call in calls] == list(range(1, model.num_timesteps // 5 + 1))
    known = [episode["r"] for episode in model.ep_info_buffer]
    assert [call["step_metrics"]["reward"] for call in calls][-len(known) :] == pytest.approx(known)


def test_gets_the_documented_dictionary(make_model: MakeModel) -> None:
    calls: list[dict[str, Any]] = []
    make_model("dqn").learn(10, callback=FunctionCallback(calls.append, lambda: {"mean_return": 1.5}))
    first, second = calls
    assert first.keys() == {"episode", "step", "step_metrics", "eval_metrics"}
    assert (second["episode"], second["step"], second["eval_metrics"]) == (2, 10, {"mean_return": 1.5})
    metrics = second["step_metrics"]
    rewards = [call["step_metrics"]["reward"] for call in calls]
    assert metrics["avg_reward"] == pytest.approx(sum(rewards) / 2)
    assert (metrics["length"], metrics["avg_length"]) == (5, 5)
    assert metrics["fps"] > 0


def test_eval_metrics_are_none_by_default(make_model: MakeModel) -> None:
    calls: list[dict[str, Any]] = []
    make_model("dqn").learn(5, callback=FunctionCallback(calls.append))
    assert calls[0]["eval_metrics"] is None


@pytest.mark.parametrize(("answer", "last_step"), [(False, 10), (None, 20), (True, 20), (0, 20)])
def test_stops_on_false_only(answer: Any, last_step: int, make_model: MakeModel) -> None:
    callback = FunctionCallback(lambda metrics: answer if metrics["episode"] == 2 else True)
    model = make_model("dqn").learn(20, callback=callback)
    assert model.num_timesteps == last_step
    assert callback.stop_reason == ("callback" if answer is False else None)


def test_stops_ars_by_an_exception(make_model: MakeModel) -> None:
    with pytest.raises(TrainingStopped, match="callback"):
        make_model("ars").learn(100, callback=FunctionCallback(lambda metrics: False))


def test_an_error_of_the_function_is_raised(make_model: MakeModel) -> None:
    def fail(metrics: dict[str, Any]) -> None:
        raise KeyError("mine")

    with pytest.raises(KeyError, match="mine"):
        make_model("dqn").learn(20, callback=FunctionCallback(fail))


class Method:
    def take_one(self, metrics: dict[str, Any]) -> None: ...


def take_none() -> None: ...


def take_two(metrics: dict[str, Any], more: int) -> None: ...


def take_one_and_a_default(metrics: dict[str, Any], more: int = 1) -> None: ...


@pytest.mark.parametrize(
    "function", [print, [].append, Method().take_one, take_one_and_a_default, functools.partial(take_two, more=1)]
)
def test_accepts_callables_with_one_argument(function: Callable[..., Any]) -> None:
    FunctionCallback(function)


@pytest.mark.parametrize(
    ("function", "message"),
    [
        (take_none, r"take_none\(\) -> 'None' must be callable with one argument"),
        (
            take_two,
            "take_two.*must be callable with one argument, a dict of metrics: missing a required argument: 'more'",
        ),
        (3, "function must be callable with one argument, a dict of metrics, but got 3"),
    ],
)
def test_other_callables_are_refused(function: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        FunctionCallback(function)


def test_resume_continues_the_averages(make_model: MakeModel) -> None:
    calls: list[dict[str, Any]] = []
    first, second = FunctionCallback(calls.append), FunctionCallback(calls.append)
    model = make_model("dqn").learn(20, callback=first)
    second.load_state_dict(first.state_dict())
    model.learn(5, callback=second, reset_num_timesteps=False)
    rewards = [call["step_metrics"]["reward"] for call in calls]
    assert calls[-1]["episode"] == 5
    assert calls[-1]["step_metrics"]["avg_reward"] == pytest.approx(sum(rewards) / 5)


def test_state_is_strict_json_for_any_returns() -> None:
    first, second = FunctionCallback(print), FunctionCallback(print)
    first.load_state_dict({"episodes": 2, "latest": [[1.5, 5], [None, 6]]})
    second.load_state_dict(json.loads(json.dumps(first.state_dict(), allow_nan=False)))
    assert second.state_dict() == {"episodes": 2, "latest": [[1.5, 5], [None, 6]]}
