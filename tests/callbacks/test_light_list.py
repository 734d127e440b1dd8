from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from stable_baselines3.common.base_class import BaseAlgorithm
from stable_baselines3.common.callbacks import BaseCallback, CallbackList

from sb3_ext.callbacks import EpisodeCallback, LightCallback, LightCallbackList

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


def test_calls_as_the_list_of_sb3_does(algorithm: str, make_model: MakeModel) -> None:
    journal = record_journal(LightCallbackList, make_model(algorithm))
    assert journal == record_journal(CallbackList, make_model(algorithm))
    assert ("Episodes", "episode 1 of 5", 5) in journal or algorithm == "ars"


def test_leaves_out_who_has_nothing_to_do(make_model: MakeModel) -> None:
    rollouts, episodes, stock = Rollouts([]), Episodes([]), Stock([])
    make_model("dqn").learn(20, callback=LightCallbackList([rollouts, episodes, stock]))
    assert (rollouts.n_calls, episodes.n_calls, stock.n_calls) == (0, 4, 20)
    assert stock.locals["self"] is stock.model


@pytest.mark.parametrize("stops_at", [3, 5])
def test_stops_when_one_returns_false_and_calls_the_others_still(stops_at: int, make_model: MakeModel) -> None:
    class Stop(LightCallback):
        def _on_step(self) -> bool:
            return self.num_timesteps < stops_at

    stock = Stock([])
    model = make_model("ppo").learn(100, callback=LightCallbackList([Stop(), stock]))
    assert model.num_timesteps == stock.n_calls == stops_at
