from __future__ import annotations

import logging
import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from stable_baselines3.common.base_class import BaseAlgorithm
from stable_baselines3.common.callbacks import BaseCallback, ConvertCallback

from sb3_ext.callbacks import (
    EpisodeBudgetCallback,
    SignalStopCallback,
    StopCallback,
    StopFileCallback,
    TimeBudgetCallback,
    TrainingStopped,
)

MakeModel = Callable[..., BaseAlgorithm]
# More steps than any test may take, and few enough that a stop that fails shows as a wrong step, not as a hang.
TOO_MANY_STEPS = 1000


class StopAtStep(StopCallback):
    def __init__(self, step: int, *, at_boundary: bool = False) -> None:
        super().__init__(at_boundary=at_boundary)
        self._step = step

    def _find_stop_reason(self) -> str | None:
        return "enough" if self.model.num_timesteps >= self._step else None


def make_stop_callbacks(directory: Path) -> dict[str, tuple[StopCallback, str]]:
    """:return: one of each, due at the first step"""
    (directory / "stop").touch()
    return {
        "signal": (SignalStopCallback(SimpleNamespace(received="SIGTERM")), "signal SIGTERM"),
        "stop file": (StopFileCallback(directory / "stop"), "stop file"),
        "time budget": (TimeBudgetCallback(1e-9), "duration"),
        "episode budget": (EpisodeBudgetCallback(1), "total_episodes"),
    }


def learn(model: BaseAlgorithm, *callbacks: BaseCallback) -> None:
    """Train; an algorithm whose loop is deaf to callbacks ends by an exception."""
    try:
        model.learn(TOO_MANY_STEPS, callback=list(callbacks))
    except TrainingStopped:
        assert type(model).__name__ == "ARS"


@pytest.mark.parametrize("kind", ["signal", "stop file", "time budget", "episode budget"])
def test_stops_every_algorithm(kind: str, algorithm: str, make_model: MakeModel, tmp_path: Path) -> None:
    callback, reason = make_stop_callbacks(tmp_path)[kind]
    model = make_model(algorithm)
    learn(model, callback)
    assert callback.stop_reason == reason
    # An episode has five steps; ARS shows its episodes at the end of a generation of 4 candidates.
    assert model.num_timesteps == (1 if kind != "episode budget" else 21 if algorithm == "ars" else 5)


@pytest.mark.parametrize("kind", ["signal", "stop file", "time budget", "episode budget"])
def test_continues_without_a_reason(kind: str, make_model: MakeModel, tmp_path: Path) -> None:
    callback = {
        "signal": SignalStopCallback(SimpleNamespace(received=None)),
        "stop file": StopFileCallback(tmp_path / "stop"),
        "time budget": TimeBudgetCallback(1000),
        "episode budget": EpisodeBudgetCallback(1000),
    }[kind]
    model = make_model("ppo").learn(32, callback=callback)
    assert callback.stop_reason is None
    assert model.num_timesteps == 32


def test_returns_python_bools(make_model: MakeModel) -> None:
    returned: list[Any] = []
    callback = StopAtStep(3)
    original = callback.on_step
    callback.on_step = lambda: returned.append(original()) or returned[-1]  # type: ignore[method-assign, func-returns-value]
    make_model("dqn").learn(100, callback=callback)
    assert returned == [True, True, False]
    assert all(type(value) is bool for value in returned)


@pytest.mark.parametrize(
    ("algorithm", "step", "stopped_at"),
    [("ppo", 5, 17), ("ppo", 16, 17), ("ppo", 17, 33), ("dqn", 21, 25), ("a2c", 1, 6)],
)
def test_waits_for_the_boundary_when_asked(algorithm: str, step: int, stopped_at: int, make_model: MakeModel) -> None:
    model = make_model(algorithm)
    callback = StopAtStep(step, at_boundary=True)
    model.learn(TOO_MANY_STEPS, callback=callback)
    assert model.num_timesteps == stopped_at


def test_finds_a_reason_at_the_boundary_itself(make_model: MakeModel) -> None:
    signals = SimpleNamespace(received=None)

    class SignalDuringUpdate(BaseCallback):
        def _on_step(self) -> bool:
            return True

        def _on_rollout_end(self) -> None:
            signals.received = "SIGINT"

    model = make_model("ppo")
    callback = SignalStopCallback(signals, at_boundary=True)
    model.learn(TOO_MANY_STEPS, callback=[SignalDuringUpdate(), callback])
    assert callback.stop_reason == "signal SIGINT"
    assert model.num_timesteps == 17


def test_ars_ends_at_a_boundary_by_an_exception_with_the_reason(
    make_model: MakeModel, caplog: pytest.LogCaptureFixture
) -> None:
    model = make_model("ars")
    with (
        caplog.at_level(logging.WARNING, "sb3_ext"),
        pytest.raises(TrainingStopped, match="training was stopped: enough") as caught,
    ):
        model.learn(TOO_MANY_STEPS, callback=StopAtStep(3, at_boundary=True))
    assert caught.value.reason == "enough"
    assert model.num_timesteps == 21
    assert "ARS ignores what callbacks return" in caplog.text


def test_can_be_used_for_a_second_training(make_model: MakeModel) -> None:
    callback = EpisodeBudgetCallback(2)
    signals = SimpleNamespace(received="SIGTERM")
    signal_callback = SignalStopCallback(signals)
    model = make_model("ppo").learn(TOO_MANY_STEPS, callback=signal_callback)
    signals.received = None
    model.learn(32, callback=[signal_callback, callback])
    assert signal_callback.stop_reason is None
    assert callback.stop_reason == "total_episodes"


def test_the_stop_file_is_detected_and_not_removed(make_model: MakeModel, tmp_path: Path) -> None:
    path = tmp_path / "stop"

    def ask_to_stop(variables: dict[str, Any], _: dict[str, Any]) -> bool:
        if variables["self"].num_timesteps == 7:
            path.touch()
            time.sleep(0.11)  # the file is looked for ten times a second
        return True

    model = make_model("dqn")
    callback = StopFileCallback(path)
    model.learn(TOO_MANY_STEPS, callback=[ConvertCallback(ask_to_stop), callback])
    assert callback.stop_reason == "stop file"
    assert model.num_timesteps == 7
    assert path.exists()


def test_a_signal_after_a_stop_file_was_created_is_reported_as_the_file(make_model: MakeModel, tmp_path: Path) -> None:
    callback = SignalStopCallback(SimpleNamespace(received="SIGTERM"), stop_file=tmp_path / "stop")
    for reason in ("signal SIGTERM", "stop file"):
        make_model("ppo").learn(TOO_MANY_STEPS, callback=callback)
        assert callback.stop_reason == reason
        (tmp_path / "stop").touch()


def test_the_time_budget_includes_earlier_parts(make_model: MakeModel) -> None:
    callback = TimeBudgetCallback(100, elapsed_before_seconds=99.99)
    make_model("a2c").learn(10**9, callback=callback)
    assert callback.stop_reason == "duration"
    assert 100 <= callback.state_dict()["elapsed_seconds"] < 110


@pytest.mark.parametrize("is_restored_before", [True, False])
def test_resume_continues_the_budgets(is_restored_before: bool, make_model: MakeModel) -> None:
    time_budget, episode_budget = TimeBudgetCallback(1000), EpisodeBudgetCallback(10)
    model = make_model("dqn")

    def restore(*_: Any) -> bool:
        time_budget.load_state_dict({"elapsed_seconds": 900.0})
        episode_budget.load_state_dict({"episodes": 8})
        return True

    class RestoreAtFirstRollout(BaseCallback):
        def _on_step(self) -> bool:
            return True

        def _on_rollout_start(self) -> None:
            if self.num_timesteps == 0:
                restore()

    if is_restored_before:
        restore()
        model.learn(TOO_MANY_STEPS, callback=[time_budget, episode_budget])
    else:
        model.learn(TOO_MANY_STEPS, callback=[time_budget, episode_budget, RestoreAtFirstRollout()])
    assert episode_budget.stop_reason == "total_episodes"
    assert model.num_timesteps == 10
    assert episode_budget.state_dict() == {"episodes": 10}
    assert 900 <= time_budget.state_dict()["elapsed_seconds"] < 910


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: TimeBudgetCallback(0), "seconds must be positive, but got 0"),
        (
            lambda: TimeBudgetCallback(1, elapsed_before_seconds=-2),
            "elapsed_before_seconds cannot be negative, but got -2",
        ),
        (lambda: EpisodeBudgetCallback(-3), "episodes must be positive, but got -3"),
    ],
)
def test_the_error_names_the_invalid_argument(make: Callable[[], Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make()
