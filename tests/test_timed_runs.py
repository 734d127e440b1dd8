"""Runs bounded by time, and their benchmark file."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import sb3_ext
from sb3_ext.agents.trained_run import TrainedRun


def train_timed(run_dir: Path, duration: str, **params: Any) -> TrainedRun:
    config = {
        "seed": 1,
        "env": {"id": "CartPole-v1"},
        "parallel": {"num_envs": 2},
        "agent": {
            "id": "ppo",
            "threads": 1,
            "params": {"n_steps": 16, "batch_size": 32, "n_epochs": 1, "policy_kwargs": {"net_arch": [8]}, **params},
        },
        "train": {"duration": duration},
        "eval": {"episodes": 1},
    }
    return sb3_ext.train(config, run_dir=run_dir)


def test_a_resumed_run_has_the_remaining_time(tmp_path: Path) -> None:
    run = train_timed(tmp_path / "run", "1s")
    first = run.benchmark
    assert (run.record.stop_reason, run.status) == ("duration", "completed")
    assert first["duration_seconds"] >= first["asked_seconds"] == 1.0
    assert first["steps"] == run.record.step
    assert first["sessions"] == 1

    run = sb3_ext.resume(tmp_path / "run", overrides=[f"train.duration={first['duration_seconds'] + 0.05:.3f}s"])
    second = run.benchmark
    assert second["sessions"] == 2
    assert second["duration_seconds"] >= first["duration_seconds"] + 0.05
    assert second["steps"] == run.record.step > first["steps"]
    assert second["iterations"] == second["steps"] // 32
    assert second["steps"] - first["steps"] < first["steps"] / 2


def test_the_last_rollout_of_a_timed_run_is_finished_and_learned_from(tmp_path: Path) -> None:
    run = train_timed(tmp_path / "run", "0.001s", n_steps=1024, batch_size=2048)
    assert (run.status, run.record.stop_reason) == ("completed", "duration")
    assert run.benchmark["steps"] == 2048
    assert run.benchmark["iterations"] == 1
    assert run.latest.step == 2048


def test_a_run_with_another_bound_is_measured_too(tmp_path: Path) -> None:
    overrides = ["agent.params.n_steps=16", "agent.params.batch_size=16", "train.total_steps=32", "eval.episodes=1"]
    run = sb3_ext.train(None, run_dir=tmp_path / "run", overrides=["agent.id=ppo", "env.id=CartPole-v1", *overrides])
    assert run.benchmark["steps"] == 32
    assert run.benchmark["asked_seconds"] is None


def test_a_failed_run_is_measured_too(tmp_path: Path) -> None:
    def fail(metrics: dict[str, Any]) -> None:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        sb3_ext.train(
            {
                "env": {"id": "CartPole-v1"},
                "agent": {"id": "ppo", "threads": 1, "params": {"n_steps": 64, "batch_size": 64}},
            },
            run_dir=tmp_path / "run",
            callback=fail,
        )
    assert sb3_ext.load_run(tmp_path / "run").benchmark["steps"] > 0
