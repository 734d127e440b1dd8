"""Runs bounded by episodes or time: what their schedules follow, and whether they resume exactly."""

from __future__ import annotations

import hashlib
import os
import signal
from pathlib import Path
from typing import Any

import pytest
from stable_baselines3.common.callbacks import BaseCallback

import sb3_ext
from sb3_ext.building.budgets import explain_inexact_schedules
from sb3_ext.checkpoints.bundle.manifest import Manifest
from sb3_ext.checkpoints.store.checkpoint_store import CheckpointStore
from sb3_ext.config import load_config

PARAMS: dict[str, dict[str, Any]] = {
    "ppo": {"n_steps": 32, "batch_size": 16, "learning_rate": "linear(1e-2)"},
    "dqn": {"learning_starts": 50, "batch_size": 8, "buffer_size": 300, "exploration_fraction": 1.0},
}


class Watch(BaseCallback):
    """Keeps the exploration rates, and sends this process a signal at a step."""

    def __init__(self, signal_step: int | None = None) -> None:
        super().__init__()
        self._signal_step = signal_step
        self.rates: dict[int, float] = {}

    def _on_step(self) -> bool:
        self.rates[self.num_timesteps] = getattr(self.model, "exploration_rate", 0.0)
        if self.num_timesteps == self._signal_step:
            os.kill(os.getpid(), signal.SIGTERM)
        return True


def make_config(algorithm: str, **train: Any) -> dict[str, Any]:
    return {
        "seed": 1,
        "env": {"id": "CartPole-v1", "max_steps": 30},
        "parallel": {"mode": "sequential"},
        "agent": {"id": algorithm, "threads": 1, "params": {**PARAMS[algorithm], "policy_kwargs": {"net_arch": [8]}}},
        "train": {"callbacks": [{"type": "checkpoint", "params": {"interval": 100}}], **train},
        "eval": {"every_steps": None, "episodes": 1},
    }


def hash_weights(run: sb3_ext.TrainedRun) -> str:
    digest = hashlib.sha256()
    for name, tensor in sorted(run.latest.load().policy.state_dict().items()):
        digest.update(name.encode() + tensor.numpy().tobytes())
    return digest.hexdigest()


def find_manifest(run: sb3_ext.TrainedRun) -> Manifest:
    bundle = CheckpointStore(run.paths.checkpoints).find_latest()
    assert bundle is not None
    return bundle.manifest


@pytest.mark.parametrize("algorithm", ["ppo", "dqn"])
def test_a_run_bounded_by_episodes_resumes_exactly(algorithm: str, tmp_path: Path) -> None:
    config = make_config(algorithm, total_episodes=8)
    whole = sb3_ext.train(config, run_dir=tmp_path / "whole")
    assert (whole.status, whole.record.stop_reason) == ("completed", "total_episodes")
    stopped = sb3_ext.train(config, run_dir=tmp_path / "parts", callback=Watch(signal_step=70))
    assert stopped.record.stop_reason == "signal SIGTERM"
    assert find_manifest(stopped).exact
    parts = sb3_ext.resume(tmp_path / "parts")
    assert (parts.record.step, hash_weights(parts)) == (whole.record.step, hash_weights(whole))


def test_exploration_follows_the_share_of_episodes(tmp_path: Path) -> None:
    watch = Watch()
    run = sb3_ext.train(make_config("dqn", total_episodes=10), run_dir=tmp_path / "run", callback=watch)
    rates = [
        round(rate, 9) for step, rate in watch.rates.items() if step > 1
    ]  # SB3 computes the first rate after the first step
    assert rates == sorted(rates, reverse=True)
    # Each episode takes a tenth of the way from 1.0 to 0.05; some steps may follow the last one.
    assert sorted(set(rates), reverse=True)[:10] == pytest.approx([1 - 0.095 * episode for episode in range(10)])
    assert run.record.epsilon is not None
    assert run.record.epsilon < 0.15


def test_schedules_follow_steps_if_there_is_also_a_bound_of_time(tmp_path: Path) -> None:
    watch = Watch()
    config = make_config("dqn", total_steps=100, duration="1h")
    sb3_ext.train(config, run_dir=tmp_path / "run", callback=watch)
    assert watch.rates[51] == 1.0 + 50 / 100 / 1.0 * (0.05 - 1.0)


def test_checkpoints_are_approximate_if_schedules_follow_time(tmp_path: Path) -> None:
    run = sb3_ext.train(make_config("dqn", duration="0.3s"), run_dir=tmp_path / "run")
    assert run.record.epsilon is not None
    assert run.record.epsilon < 0.2  # at the last heartbeat
    manifest = find_manifest(run)
    assert (manifest.exact, manifest.exact_reason) == (False, "it depends on the time used: exploration")
    assert (
        "resuming from checkpoints will be approximate: it depends on the time used: exploration"
        in (tmp_path / "run/logs/training.log").read_text()
    )
    assert sb3_ext.resume(tmp_path / "run", overrides=["train.duration=0.4s"]).status == "completed"


@pytest.mark.parametrize(
    ("algorithm", "train", "names"),
    [
        ("ppo", {"duration": "1m"}, "agent.params.learning_rate"),
        ("ppo", {"duration": "1m", "total_steps": 100}, None),
        ("ppo", {"duration": "1m", "total_episodes": 100}, None),
        ("dqn", {"duration": "1m"}, "exploration"),
        ("dqn", {"duration": "1m", "deterministic": True}, None),
        ("dqn", {"duration": "1m", "callbacks": [{"type": "epsilon_decay"}]}, None),
    ],
)
def test_each_schedule_that_follows_time_is_named(algorithm: str, train: dict[str, Any], names: str | None) -> None:
    reason = explain_inexact_schedules(load_config(make_config(algorithm, **train)))
    assert (reason is None) == (names is None)
    assert reason is None or reason == f"it depends on the time used: {names}"
