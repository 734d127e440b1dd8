from __future__ import annotations

import json
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from stable_baselines3 import DQN, PPO
from stable_baselines3.common.base_class import BaseAlgorithm
from stable_baselines3.common.callbacks import BaseCallback
from stable_baselines3.common.utils import LinearSchedule

from sb3_ext.callbacks import EpisodeBudgetCallback, EstimatedSteps, TimeBudgetCallback

MakeModel = Callable[..., BaseAlgorithm]


class RateRecorder(BaseCallback):
    """Keeps exploration and learning rates by step; episodes have five steps."""

    def __init__(self) -> None:
        super().__init__()
        self.exploration: dict[int, float] = {}
        self.learning: dict[int, float] = {}

    def _on_step(self) -> bool:
        model: Any = self.model
        self.exploration[self.num_timesteps] = getattr(model, "exploration_rate", 0.0)
        return True

    def _on_rollout_start(self) -> None:
        # That of the update before.
        self.learning[self.model.num_timesteps] = self.model.policy.optimizer.param_groups[0]["lr"]


@pytest.mark.parametrize("algorithm", ["dqn", "qrdqn"])
def test_exploration_follows_the_share_of_the_episodes(algorithm: str, make_model: MakeModel) -> None:
    model = make_model(algorithm, exploration_fraction=0.5, exploration_final_eps=0.0)
    recorder, budget = RateRecorder(), EpisodeBudgetCallback(8)
    model.learn(EstimatedSteps(model, [budget]), callback=[recorder, budget])
    assert model.num_timesteps == 40
    # An action has the rate that was computed after the step before it: with (step - 1) // 5 of 8 episodes over.
    expected = {step: max(0.0, 1 - (step - 1) // 5 / 4) for step in range(2, 41)}
    assert {step: recorder.exploration[step] for step in expected} == pytest.approx(expected)


@pytest.mark.parametrize(("algorithm", "params"), [("ppo", {"batch_size": 20}), ("a2c", {})])
def test_a_learning_rate_follows_the_share_of_the_episodes(
    algorithm: str, params: dict[str, Any], make_model: MakeModel
) -> None:
    model = make_model(algorithm, n_steps=20, learning_rate=LinearSchedule(1.0e-3, 0.0, 1.0), **params)
    recorder, budget = RateRecorder(), EpisodeBudgetCallback(20)
    model.learn(EstimatedSteps(model, [budget]), callback=[recorder, budget])
    assert model.num_timesteps == 100
    found = {step: recorder.learning[step] for step in (20, 40, 60, 80)}
    assert found == pytest.approx({20: 8e-4, 40: 6e-4, 60: 4e-4, 80: 2e-4})


def test_ars_follows_the_share_of_the_episodes(make_model: MakeModel) -> None:
    model = make_model("ars", learning_rate=LinearSchedule(1.0, 0.0, 1.0))
    budget = SimpleNamespace(used_share=0.25)
    model.learn(EstimatedSteps(model, [budget], 40), log_interval=None)
    assert model._current_progress_remaining == pytest.approx(0.5)  # the last update began at step 20 of 40


def test_the_larger_share_counts(make_model: MakeModel) -> None:
    model = make_model("ppo")
    model.num_timesteps = 30
    half_used, all_used = SimpleNamespace(used_share=0.5), SimpleNamespace(used_share=1.2)
    assert float(EstimatedSteps(model, [half_used], 100)) == 60.0
    assert float(EstimatedSteps(model, [half_used], 40)) == 40.0
    assert float(EstimatedSteps(model, [half_used, all_used], 100)) == 30.0
    assert float(EstimatedSteps(model, [SimpleNamespace(used_share=0.0)], 100)) == 100.0


def test_schedules_follow_a_time_budget(make_model: MakeModel, monkeypatch: pytest.MonkeyPatch) -> None:
    model = make_model("dqn", exploration_fraction=1.0, exploration_final_eps=0.0)
    recorder, budget = RateRecorder(), TimeBudgetCallback(100.0)
    monkeypatch.setattr(
        "sb3_ext.callbacks.measures.stopwatch.Stopwatch.elapsed_seconds", property(lambda _: 5.0 * model.num_timesteps)
    )
    model.learn(EstimatedSteps(model, [budget]), callback=[recorder, budget])
    assert model.num_timesteps == 20
    expected = {step: 1 - (step - 1) / 20 for step in range(2, 21)}
    assert {step: recorder.exploration[step] for step in expected} == pytest.approx(expected)


def test_a_second_call_of_learn_continues(make_model: MakeModel) -> None:
    model = make_model("ppo", n_steps=10, batch_size=10).learn(20)
    budget = EpisodeBudgetCallback(4)
    model.learn(EstimatedSteps(model, [budget], 1000), callback=budget, reset_num_timesteps=False)
    assert model.num_timesteps == 40
    assert model._total_timesteps == 1020


@pytest.mark.parametrize(("algorithm", "stock"), [("ppo", PPO), ("dqn", DQN)])
def test_a_saved_model_loads_with_stock_sb3(
    algorithm: str, stock: type[BaseAlgorithm], make_model: MakeModel, tmp_path: Path
) -> None:
    model = make_model(algorithm)
    budget = EpisodeBudgetCallback(2)
    model.learn(EstimatedSteps(model, [budget]), callback=budget)
    model.save(tmp_path / "model.zip")
    with zipfile.ZipFile(tmp_path / "model.zip") as archive:
        assert json.loads(archive.read("data"))["_total_timesteps"] == sys.maxsize
    assert type(stock.load(tmp_path / "model.zip")._total_timesteps) is int
