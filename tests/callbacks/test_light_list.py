from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest
from stable_baselines3.common.base_class import BaseAlgorithm
from stable_baselines3.common.callbacks import BaseCallback, CallbackList

from sb3_ext.callbacks import EpisodeCallback, LightCallback, LightCallbackList, SignalStopCallback
from sb3_ext.callbacks.bases import light_callback_list as light_list

MakeModel = Callable[..., BaseAlgorithm]
Journal = list[tuple[str, str, int]]


class Stock(BaseCallback):
    def __init__(self, journal: Journal) -> None:
        super().__init__()
        self._journal = journal

    def _note(self, event: str) -> None:
        self._journal.append((type(self).__name__, event, self.model.num_timesteps))

    def _on_training_start(self) -> None:
        self._note("training start")

    def _on_rollout_start(self) -> None:
        self._note("rollout start")

    def _on_step(self) -> bool:
        self._note("step")
        return True

    def _on_rollout_end(self) -> None:
        self._note("rollout end")

    def _on_training_end(self) -> None:
        self._note("training end")


class Rollouts(LightCallback):
    def __init__(self, journal: Journal) -> None:
        super().__init__()
        self._journal = journal

    def _on_rollout_start(self) -> None:
        self._journal.append(("Rollouts", "rollout start", self.model.num_timesteps))


class Episodes(EpisodeCallback):
    def __init__(self, journal: Journal) -> None:
        super().__init__()
        self._journal = journal

    def _on_episode(self, episode_return: float | None, episode_length: int | None, info: dict[str, Any]) -> None:
        self._journal.append(("Episodes", f"episode {self.episodes} of {episode_length}", self.num_timesteps))


def record_journal(list_class: type[CallbackList], model: BaseAlgorithm) -> Journal:
    journal: Journal = []
    callbacks: list[BaseCallback] = [Episodes(journal), Stock(journal), Rollouts(journal), Episodes(journal)]
    model.learn(40, callback=list_class(callbacks))
    return journal


def test_calls_callbacks_as_sb3s_list_does(algorithm: str, make_model: MakeModel) -> None:
    journal = record_journal(LightCallbackList, make_model(algorithm))
    assert journal == record_journal(CallbackList, make_model(algorithm))
    assert ("Episodes", "episode 1 of 5", 5) in journal or algorithm == "ars"


class Patient(LightCallback):
    is_patient = True

    def _on_step(self) -> bool:
        return self.num_timesteps >= 0


def test_calls_patient_callbacks_at_episode_ends_and_at_intervals(
    make_model: MakeModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    counts = {}
    for seconds in (0.0, 1000.0):
        monkeypatch.setattr(light_list, "_CALL_PATIENT_EVERY_SECONDS", seconds)
        patient = Patient()
        make_model("dqn").learn(20, callback=LightCallbackList([patient]))
        counts[seconds] = patient.n_calls
    assert counts == {0.0: 20, 1000.0: 1 + 4}


@pytest.mark.parametrize(("name", "stopped_at"), [("dqn", 5), ("ppo", 17)])
def test_a_patient_stop_at_a_boundary_ends_at_the_next_step(
    name: str, stopped_at: int, make_model: MakeModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(light_list, "_CALL_PATIENT_EVERY_SECONDS", 1000.0)
    signals = SimpleNamespace(received=None)

    class Signal(BaseCallback):
        def _on_step(self) -> bool:
            signals.received = "SIGTERM" if self.num_timesteps == 2 else signals.received
            return True

    model = make_model(name, episode_steps=(100, 100))
    model.learn(100, callback=LightCallbackList([Signal(), SignalStopCallback(signals, at_boundary=True)]))
    assert model.num_timesteps == stopped_at


def test_skips_callbacks_at_steps_that_they_do_not_need(make_model: MakeModel) -> None:
    rollouts, episodes, stock = Rollouts([]), Episodes([]), Stock([])
    make_model("dqn").learn(20, callback=LightCallbackList([rollouts, episodes, stock]))
    assert (rollouts.n_calls, episodes.n_calls, stock.n_calls) == (0, 4, 20)
    assert stock.locals["self"] is stock.model


@pytest.mark.parametrize("stops_at", [3, 5])
def test_stops_if_one_returns_false_after_calling_the_others(stops_at: int, make_model: MakeModel) -> None:
    class Stop(LightCallback):
        def _on_step(self) -> bool:
            return self.num_timesteps < stops_at

    stock = Stock([])
    model = make_model("ppo").learn(100, callback=LightCallbackList([Stop(), stock]))
    assert model.num_timesteps == stock.n_calls == stops_at
