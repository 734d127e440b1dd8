"""EvaluationCallback with a separate process: training continues whatever happens to the evaluation."""

from __future__ import annotations

import logging
import time
from pathlib import Path
from typing import Any

import gymnasium as gym
import psutil
import pytest
import torch
from stable_baselines3 import PPO
from stable_baselines3.common.callbacks import BaseCallback
from stable_baselines3.common.env_util import make_vec_env
from stable_baselines3.common.vec_env import VecEnv

from sb3_ext.callbacks import EvaluationCallback
from sb3_ext.errors import CheckpointError
from sb3_ext.evaluation.evaluate import Evaluation
from sb3_ext.reports.evaluations import read_evaluations

torch.set_num_threads(1)


def make_env() -> VecEnv:
    return make_vec_env("CartPole-v1", 2, env_kwargs={"max_episode_steps": 30})


def make_model() -> PPO:
    policy = {"net_arch": [8]}
    return PPO(
        "MlpPolicy", make_env(), n_steps=16, batch_size=32, n_epochs=1, seed=1, device="cpu", policy_kwargs=policy
    )


@pytest.fixture(autouse=True)
def forked(monkeypatch: pytest.MonkeyPatch) -> None:
    """An evaluator comes from a server that has the heavy imports behind it, seconds sooner than a new Python."""
    monkeypatch.setattr("sb3_ext.evaluation.background._START_METHOD", "forkserver")


class WaitForEvaluations(BaseCallback):
    """Waits at each boundary until nothing is being evaluated, so that every due evaluation starts at once."""

    def __init__(self, evaluations: EvaluationCallback) -> None:
        super().__init__()
        self.evaluations = evaluations

    def _on_step(self) -> bool:
        return True

    def _on_rollout_start(self) -> None:
        if self.evaluations._evaluator.is_busy:
            self.evaluations._evaluator._worker.connection.poll(60.0)
            self.evaluations._receive()


def train(path: Path, *, background: bool) -> tuple[list[dict[str, Any]], list[tuple[int, Evaluation]], Any]:
    callback = EvaluationCallback(make_env, every_steps=64, episodes=3, seed=5, path=path, background=background)
    received: list[tuple[int, Evaluation]] = []
    callback.on_evaluation.append(lambda step, evaluation: received.append((step, evaluation)))
    model = make_model()
    try:
        model.learn(160, callback=[callback, WaitForEvaluations(callback)])
        callback.finish()
    finally:
        callback.close()
    lines = [{**line, "elapsed_seconds": 0.0} for line in read_evaluations(path)]
    return lines, received, (callback.best_return, callback.best_step)


def test_results_equal_the_foreground(tmp_path: Path) -> None:
    here, there = (train(tmp_path / f"{background}.jsonl", background=background) for background in (False, True))

    assert [step for step, _ in here[1]] == [64, 128, 160]
    assert there == here


def test_training_continues_and_the_result_has_the_evaluated_step(tmp_path: Path) -> None:
    release = tmp_path / "release"

    class HeldEnv(gym.Wrapper[Any, Any, Any, Any]):
        """Plays only once a file is there."""

        def reset(self, **kwargs: Any) -> Any:
            while not release.exists():
                time.sleep(0.01)
            return self.env.reset(**kwargs)

    callback = EvaluationCallback(
        lambda: make_vec_env("CartPole-v1", 1, wrapper_class=HeldEnv),
        every_steps=32,
        episodes=1,
        path=tmp_path / "evaluations.jsonl",
        background=True,
    )
    arrived: list[tuple[int, int]] = []
    callback.on_evaluation.append(lambda step, _: arrived.append((step, callback.model.num_timesteps)))
    try:
        # Due at 32, 64, …: the first is held back, the others wait, and training gets through all the same.
        make_model().learn(256, callback=callback)
        assert arrived == []
        assert callback.state_dict()["is_due"]
        release.touch()
        callback.finish()
    finally:
        callback.close()

    assert arrived == [(32, 256), (256, 256)]
    assert [line["step"] for line in read_evaluations(tmp_path / "evaluations.jsonl")] == [32, 256]


def test_a_failed_evaluator_is_reported_and_training_continues(caplog: pytest.LogCaptureFixture) -> None:
    callback = EvaluationCallback(make_env, every_steps=32, episodes=2, background=True, at_end=False)
    received: list[int] = []
    failed: list[int] = []
    callback.on_evaluation.append(lambda step, _: received.append(step))
    callback.on_failure.append(failed.append)

    class KillTheFirst(BaseCallback):
        def _on_step(self) -> bool:
            return True

        def _on_rollout_start(self) -> None:
            if self.model.num_timesteps == 32:
                psutil.Process(callback._evaluator._worker._process.pid).kill()

    model = make_model()
    try:
        with caplog.at_level(logging.WARNING, logger="sb3_ext"):
            model.learn(128, callback=[callback, KillTheFirst(), WaitForEvaluations(callback)])
            callback.finish()
    finally:
        callback.close()

    assert model.num_timesteps == 128
    [warning] = [record.getMessage() for record in caplog.records if record.name.startswith("sb3_ext")]
    assert warning == "the evaluation of step 32 failed; training continues: the evaluator died (exit code -9)"
    assert failed == [32]
    assert received == [64, 96]


@pytest.mark.parametrize("error", [OSError(28, "No space left on device"), CheckpointError("no room for a checkpoint")])
def test_a_model_that_cannot_be_saved_is_reported_and_training_continues(
    error: Exception, caplog: pytest.LogCaptureFixture
) -> None:
    def fail() -> Path:
        raise error

    callback = EvaluationCallback(make_env, every_steps=64, background=True, at_end=False, capture=fail)
    model = make_model()
    try:
        with caplog.at_level(logging.WARNING, logger="sb3_ext"):
            model.learn(96, callback=callback)
    finally:
        callback.close()

    assert model.num_timesteps == 96
    [warning] = [record.getMessage() for record in caplog.records if record.name.startswith("sb3_ext")]
    assert warning == f"the evaluation of step 64 failed; training continues: the model could not be saved: {error}"
