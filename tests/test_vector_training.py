"""Runs of environments that exist only as vector environments: they train, resume, play, and can be measured."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from run_digests import digest_run
from sb3_ext import resume, train
from sb3_ext.building.memory import measure_environment
from sb3_ext.building.training_environments import validate_environment
from sb3_ext.cli import cli
from sb3_ext.config import load_config
from signal_callback import SignalCallback

CONFIG: dict[str, Any] = {
    "seed": 1,
    "env": {"id": "counting_vector_env:CountingVector-v0", "normalize": True},
    "parallel": {"num_envs": 4, "mode": "gymnasium"},
    "agent": {
        "id": "ppo",
        "threads": 1,
        "params": {"n_steps": 8, "batch_size": 16, "n_epochs": 2, "policy_kwargs": {"net_arch": [8]}},
    },
    "train": {"total_steps": 128, "callbacks": [{"type": "checkpoint", "params": {"interval": 32}}]},
    "eval": {"episodes": 4, "every_steps": 64},
}


def run_command(*arguments: str) -> str:
    result = CliRunner().invoke(cli, list(arguments))
    assert result.exit_code == 0, result.output
    return result.output


def test_a_run_resumes_exactly_and_its_agent_plays(tmp_path: Path) -> None:
    whole = train(CONFIG, run_dir=tmp_path / "a")
    parts = train(CONFIG, run_dir=tmp_path / "b", callback=SignalCallback(72))
    parts = resume(parts.paths.root)
    assert parts.record.stop_reason == "total_steps"
    assert digest_run(parts.paths.root) == digest_run(whole.paths.root)
    assert "approximate" not in parts.paths.log.read_text()
    output = run_command("enjoy", str(whole.paths.root), "--episodes", "4")
    lengths = [line.split()[-1] for line in output.splitlines() if line.split()[0].isdigit()]
    assert lengths == ["2", "3", "4", "5"]
    video = tmp_path / "video.gif"
    run_command("enjoy", str(whole.paths.root), "--episodes", "1", "--video", str(video))
    assert video.stat().st_size > 0


def test_its_environments_are_measured_and_checked(monkeypatch: pytest.MonkeyPatch) -> None:
    config = load_config(CONFIG)
    size = measure_environment(config)
    assert size is not None
    assert size.observation_space.shape == (4,)
    validate_environment(config)
    command = ["advise", "--env", CONFIG["env"]["id"], "--algo", "ppo", "--num-envs", "4", "--seconds", "0.05"]
    output = run_command(*command, "--set", "parallel.mode=gymnasium", "--set", "agent.threads=1")
    assert "exist only as a vector environment" in " ".join(output.split())
    assert "mode: gymnasium" in output


@pytest.mark.slow
@pytest.mark.parametrize(
    ("env_id", "params", "label"),
    [
        ("drift_functional_env:Drift-v0", {}, "exact"),
        ("phys2d/CartPole-v1", {}, "exact"),
        ("CartPole-v1", {"vectorization_mode": "async"}, "approximate"),
        ("CartPole-v1", {"vectorization_mode": "envpool", "vector_kwargs": {"num_threads": 1}}, "approximate"),
    ],
)
def test_other_kinds_train_and_resume_as_the_log_says(
    env_id: str, params: dict[str, Any], label: str, tmp_path: Path
) -> None:
    config = {**CONFIG, "env": {"id": env_id}, "parallel": {**CONFIG["parallel"], "params": params}}
    parts = train(config, run_dir=tmp_path / "b", callback=SignalCallback(72))
    parts = resume(parts.paths.root)
    assert parts.record.stop_reason == "total_steps"
    assert ("approximate" in parts.paths.log.read_text()) == (label == "approximate")
    if label == "exact":
        whole = train(config, run_dir=tmp_path / "a")
        assert digest_run(parts.paths.root) == digest_run(whole.paths.root)
    assert (tmp_path / "b" / "evaluations.jsonl").read_text()
