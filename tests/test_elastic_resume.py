"""A run continues exactly when its environments are divided over other processes at a resume."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from run_digests import digest_run
from sb3_ext import resume, train
from sb3_ext.cli import cli
from signal_callback import SignalCallback

PARAMS: dict[str, dict[str, Any]] = {
    "ppo": {"n_steps": 8, "batch_size": 16, "n_epochs": 2, "policy_kwargs": {"net_arch": [8]}},
    "dqn": {"learning_starts": 16, "batch_size": 8, "train_freq": 2, "policy_kwargs": {"net_arch": [8]}},
}


def make_config(algorithm: str, total_steps: int, **changes: Any) -> dict[str, Any]:
    return {
        "seed": 1,
        "env": {"id": "CartPole-v1", "max_steps": 30},
        "parallel": {"num_envs": 4, "mode": "workers", "num_workers": 4},
        "agent": {"id": algorithm, "threads": 1, "params": PARAMS[algorithm]},
        "train": {"total_steps": total_steps, "callbacks": [{"type": "checkpoint", "params": {"interval": 64}}]},
        "eval": {"episodes": 1, "every_steps": None},
        **changes,
    }


@pytest.mark.parametrize("algorithm", ["ppo", pytest.param("dqn", marks=pytest.mark.slow)])
def test_a_run_continues_exactly_in_more_and_fewer_processes(algorithm: str, tmp_path: Path) -> None:
    whole = train(make_config(algorithm, 256, parallel={"num_envs": 4, "mode": "sequential"}), run_dir=tmp_path / "a")
    parts = train(make_config(algorithm, 256), run_dir=tmp_path / "b", callback=SignalCallback(72))
    resume(parts.paths.root, overrides=["parallel.mode=sequential"], callback=SignalCallback(136))
    parts = resume(parts.paths.root, overrides=["parallel.mode=workers", "parallel.num_workers=2"])
    assert parts.record.stop_reason == "total_steps"
    assert digest_run(parts.paths.root) == digest_run(whole.paths.root)
    assert "approximate" not in parts.paths.log.read_text()


@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("algorithm", ["ppo", "dqn"])
def test_a_run_that_is_killed_ten_times_continues_exactly_in_other_processes_each_time(
    algorithm: str, run_harness: Callable[..., str]
) -> None:
    run_harness("kill_and_resume.py", "--algorithm", algorithm, "--elastic", "--kills", "10", "--fork")


def test_the_flag_for_workers_can_change_at_a_resume(tmp_path: Path) -> None:
    run = train(make_config("ppo", 64), run_dir=tmp_path / "run")
    command = ["train", "--resume", "--run-dir", str(run.paths.root), "--num-workers", "2", "--total-steps", "96"]
    result = CliRunner().invoke(cli, command)
    assert result.exit_code == 0, result.output
    assert "num_workers: 2" in run.paths.resolved_config.read_text()
    assert "num_envs_per_worker: 2" in run.paths.resolved_config.read_text()


def test_environments_that_draw_from_global_generators_continue_approximately(tmp_path: Path) -> None:
    env = {"id": "global_noise_env:GlobalNoise-v0"}
    run = train(make_config("ppo", 64, env=env), run_dir=tmp_path / "run")
    run = resume(run.paths.root, overrides=["train.total_steps=96", "parallel.mode=sequential"])
    assert "this is approximate: the environments are in other processes than before" in run.paths.log.read_text()
