"""Pruning in any SB3 script: with our evaluations and with SB3's own."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import optuna
import pytest
import sb3_ext_envs  # noqa: F401 (registers)
from stable_baselines3.common.callbacks import BaseCallback, EvalCallback
from stable_baselines3.common.env_util import make_vec_env
from stable_baselines3.common.vec_env import VecEnv

from sb3_ext.callbacks import EvaluationCallback, TrialPruningCallback

ENV = {"shortest_episode_steps": 5, "longest_episode_steps": 5}


class Judge:
    """Notes reports, and prunes at one of them."""

    def __init__(self, prune_at: int | None = None) -> None:
        self.prune_at = prune_at
        self.reports: list[tuple[int, float]] = []

    def report(self, value: float, step: int) -> None:
        self.reports.append((step, value))

    def should_prune(self) -> bool:
        return len(self.reports) == self.prune_at


class Witness(BaseCallback):
    """Counts rollouts."""

    rollouts = 0

    def _on_rollout_start(self) -> None:
        self.rollouts += 1

    def _on_step(self) -> bool:
        return True


def make_env() -> VecEnv:
    from gymnasium import spaces

    return make_vec_env("sb3_ext/Mock-v0", 1, seed=3, env_kwargs={"action_space": spaces.Discrete(2), **ENV})


def make_ours() -> EvaluationCallback:
    return EvaluationCallback(make_env, every_steps=30, episodes=2, seed=1)


def test_evaluations_are_reported_at_the_step_at_which_they_were_due(make_model: Callable[..., Any]) -> None:
    judge, evaluation = Judge(), make_ours()
    found: list[int] = []
    evaluation.on_evaluation.append(lambda step, _: found.append(step))
    callback = TrialPruningCallback(judge, evaluation, every_steps=30)

    make_model("ppo").learn(128, callback=[evaluation, callback])

    assert found == [32, 64, 96]  # rollouts of 16 steps
    assert [step for step, _ in judge.reports] == [30, 60, 90]
    assert (callback.is_pruned, callback.stop_reason) == (False, None)


@pytest.mark.parametrize("at_boundary", [True, False])
def test_a_pruned_training_ends_at_once(make_model: Callable[..., Any], at_boundary: bool) -> None:
    evaluation, witness = make_ours(), Witness()
    callback = TrialPruningCallback(Judge(prune_at=2), evaluation, at_boundary=at_boundary)
    model = make_model("ppo")

    model.learn(1000, callback=[callback, evaluation, witness])

    assert (callback.is_pruned, callback.stop_reason) == (True, "pruned")
    assert model.num_timesteps == 65  # evaluated between two rollouts, at 64, and not a rollout later
    assert witness.rollouts == 5


def test_works_with_the_eval_callback_of_sb3(make_model: Callable[..., Any]) -> None:
    judge, env = Judge(prune_at=3), make_env()
    evaluation = EvalCallback(env, n_eval_episodes=1, eval_freq=10, verbose=0)
    callback = TrialPruningCallback(judge, evaluation)
    model = make_model("dqn")

    model.learn(1000, callback=[evaluation, callback])

    assert [step for step, _ in judge.reports] == [10, 20, 30]
    assert judge.reports[-1][1] == evaluation.last_mean_reward
    assert model.num_timesteps == 30
    env.close()


def test_works_with_an_optuna_study(make_model: Callable[..., Any]) -> None:
    """The example in the docstring."""

    def train(trial: optuna.Trial) -> float:
        evaluation = make_ours()
        pruning = TrialPruningCallback(trial, evaluation, every_steps=30)
        make_model("ppo", seed=trial.number, learning_rate=trial.suggest_float("rate", 1e-4, 1e-1)).learn(
            96, callback=[evaluation, pruning]
        )
        evaluation.close()
        if pruning.is_pruned:
            raise optuna.TrialPruned
        assert evaluation.best_return is not None
        return evaluation.best_return

    pruner = optuna.pruners.ThresholdPruner(lower=1e9, n_warmup_steps=60)
    study = optuna.create_study(direction="maximize", pruner=pruner)
    study.optimize(train, n_trials=2)

    assert [trial.state.name for trial in study.trials] == ["PRUNED", "PRUNED"]
    assert [list(trial.intermediate_values) for trial in study.trials] == [[30, 60], [30, 60]]


def test_a_negative_interval_is_refused() -> None:
    with pytest.raises(ValueError, match="every_steps must be positive, but got 0"):
        TrialPruningCallback(Judge(), make_ours(), every_steps=0)
