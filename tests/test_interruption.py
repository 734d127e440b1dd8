"""Loops that step environments with endless episodes: truncated by steps, ended by signals and stop files."""

from __future__ import annotations

import json
import os
import shutil
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from click.testing import CliRunner, Result

from run_processes import RunProcess
from sb3_ext.agents.trained_run import TrainedRun
from sb3_ext.checkpoints.store.checkpoint_store import CheckpointStore
from sb3_ext.cli import cli
from sb3_ext.interruption import Interruption, StopFile, StopRequested
from sb3_ext.reports.evaluations import read_evaluations
from sb3_ext.runs.paths import RunPaths
from sb3_ext.runs.run import Run
from sb3_ext.training.loop import train_run
from sb3_ext.training.resuming import resume_run
from sb3_ext.training.start import start_run

PATIENCE_SECONDS = 60.0

MakeConfig = Callable[..., dict[str, Any]]


@pytest.fixture
def make_config(monkeypatch: pytest.MonkeyPatch) -> MakeConfig:
    """Episodes of 8 steps in training, and in evaluations those that never end."""
    # An evaluator comes from a server that has the heavy imports behind it, seconds sooner than a new Python.
    monkeypatch.setattr("sb3_ext.evaluation.background._START_METHOD", "forkserver")

    def make(
        evaluated: dict[str, Any] | None = None, trained: dict[str, Any] | None = None, **judged: Any
    ) -> dict[str, Any]:
        params = {"n_steps": 16, "batch_size": 16, "n_epochs": 1, "policy_kwargs": {"net_arch": [8]}}
        return {
            "seed": 0,
            "env": {"id": "endless_env:endless/Endless-v0", "params": trained or {"episode_steps": 8}},
            "parallel": {"mode": "sequential"},
            "agent": {"id": "ppo", "threads": 1, "device": "cpu", "params": params},
            "train": {"total_steps": 64},
            "eval": {
                "every_steps": 32,
                "episodes": 2,
                "max_steps": None,
                "env": {"params": {"episode_steps": None, **(evaluated or {})}},
                **judged,
            },
        }

    return make


def find_latest_step(run: Run) -> int | None:
    latest = CheckpointStore(run.paths.checkpoints).find_latest()
    return None if latest is None else latest.step


def train_plainly(config: dict[str, Any], directory: Path) -> TrainedRun:
    """Without pictures, which take a second."""
    return TrainedRun(train_run(start_run(config, directory), draws_curves=False).paths.root)


@pytest.mark.timeout(3 * PATIENCE_SECONDS)
@pytest.mark.parametrize(
    ("when", "asked"),
    [
        ("in training", "SIGTERM"),
        ("in training", "stop file"),
        ("at the end", "SIGINT"),
        ("at the end, in the background", "SIGTERM"),
    ],
)
def test_a_run_stopped_during_an_evaluation_resumes_exactly(
    make_config: MakeConfig, tmp_path: Path, when: str, asked: str
) -> None:
    directory = tmp_path / "run"
    asking = {"touched": str(directory / "stop")} if asked == "stop file" else {"sent": asked}
    at_end = {} if when == "in training" else {"every_steps": None, "background": when.endswith("background")}
    run = train_plainly(make_config({"at_step": 10, **asking}, **at_end), directory)
    reason = asked if asked == "stop file" else f"signal {asked}"
    assert (run.status, run.record.stop_reason) == ("stopped", reason)
    assert find_latest_step(run) == (64 if at_end else 32)
    assert read_evaluations(run.paths.evaluations) == []

    # No episode gets to its tenth step, in which the end is asked for.
    again = train_run(resume_run(directory, ["eval.max_steps=9"]), draws_curves=False)
    assert again.status == "completed"
    evaluations = read_evaluations(run.paths.evaluations)
    steps = [64] if at_end else [32, 64]
    assert [(line["step"], line["truncated_episodes"]) for line in evaluations] == [(step, 2) for step in steps]
    assert again.record.best_evaluation == 9.0


def test_an_interrupted_evaluation_does_not_change_the_weights(make_config: MakeConfig, tmp_path: Path) -> None:
    parts, whole = tmp_path / "parts", tmp_path / "whole"
    train_plainly(make_config({"at_step": 10, "sent": "SIGTERM"}), parts)
    train_run(resume_run(parts, ["eval.max_steps=9"]), draws_curves=False)
    found = TrainedRun(parts).latest.load().policy.state_dict()
    for name, tensor in train_plainly(make_config(max_steps=9), whole).latest.load().policy.state_dict().items():
        assert torch.equal(tensor, found[name]), name


@pytest.mark.timeout(PATIENCE_SECONDS)
@pytest.mark.parametrize("mode", ["sequential", "auto"])
def test_a_stop_file_ends_the_self_tests_before_training(
    make_config: MakeConfig, tmp_path: Path, mode: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sb3_ext.interruption._LOOK_EVERY_SECONDS", 0.0)
    config = make_config(trained={"at_step": 3, "touched": str(tmp_path / "run" / "stop")})
    config["parallel"] = {"mode": mode, "num_envs": 2}
    run = train_plainly(config, tmp_path / "run")
    assert (run.status, run.record.stop_reason, run.record.step) == ("stopped", "stop file", 0)


@pytest.mark.timeout(2 * PATIENCE_SECONDS)
def test_a_signal_in_an_evaluation_ends_the_process_within_seconds(make_config: MakeConfig, tmp_path: Path) -> None:
    mark, path, directory = tmp_path / "mark", tmp_path / "config.yaml", tmp_path / "run"
    path.write_text(yaml.safe_dump(make_config({"at_step": 10, "touched": str(mark)})))
    with RunProcess(path, directory) as process:
        assert process.wait_until(mark.exists), process.read_output()
        time.sleep(0.2)
        sent_at = time.monotonic()
        process.send(signal.SIGTERM, to_group=True)
        assert process.wait(PATIENCE_SECONDS) == 75, process.read_output()
        print(f"ended after {time.monotonic() - sent_at:.1f} s")
        assert process.list_orphans() == []
    run = Run(directory)
    assert (run.status, run.record.stop_reason) == ("stopped", "signal SIGTERM")
    assert find_latest_step(run) == 32


@pytest.fixture(scope="module")
def bounded_directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("bounded") / "run"


@pytest.fixture
def bounded_run(make_config: MakeConfig, bounded_directory: Path) -> TrainedRun:
    """A run whose evaluations are bounded; it is trained once."""
    if bounded_directory.exists():
        return TrainedRun(bounded_directory)
    return train_plainly(make_config(max_steps=9), bounded_directory)


def enjoy(*arguments: str) -> Result:
    return CliRunner().invoke(cli, ["enjoy", *arguments])


def test_a_truncated_evaluation_is_marked_everywhere(bounded_run: TrainedRun, tmp_path: Path) -> None:
    run = bounded_run
    assert run.status == "completed"
    lines = read_evaluations(run.paths.evaluations)
    assert [(line["returns"], line["lengths"], line["truncated_episodes"]) for line in lines] == [
        ([9.0, 9.0], [9, 9], 2)
    ] * 2
    assert run.metrics["last_evaluation"]["truncated_episodes"] == 2
    assert run.evaluate().truncated_episodes == 2
    log = run.paths.log.read_text()
    assert "evaluation at step 32: return 9.00 ± 0.00; 2 of 2 episodes truncated" in log
    assert log.count("2 of 2 episodes had not ended after 9 steps, and were truncated") == 1

    found = enjoy(str(run.paths.root), "--json", str(tmp_path / "found.json"), "--max-steps", "5", "--episodes", "3")
    assert found.exit_code == 0, found.output
    assert [line.split() for line in found.stdout.splitlines()[1:4]] == [
        [str(number), "5.00", "5", "truncated"] for number in (1, 2, 3)
    ]
    assert "3 of 3 episodes had not ended after 5 steps, and were truncated" in found.stdout
    assert json.loads((tmp_path / "found.json").read_text())["truncated_episodes"] == 3


@pytest.mark.parametrize(("sent", "exit_code"), [("SIGTERM", 143), ("SIGINT", 130)])
def test_enjoy_reports_the_episodes_played_before_a_signal(
    bounded_run: TrainedRun, tmp_path: Path, sent: str, exit_code: int
) -> None:
    copied = RunPaths(Path(shutil.copytree(bounded_run.paths.root, tmp_path / "run")))
    resolved = yaml.safe_load(copied.resolved_config.read_text())
    asking = {"at_episode": 2, "at_step": 4, "sent": sent}
    resolved["eval"] |= {"num_envs": 2, "env": {"params": {"episode_steps": 8, **asking}}}
    copied.resolved_config.write_text(yaml.safe_dump(resolved))
    found = enjoy(str(copied.root), "--episodes", "4")
    assert found.exit_code == exit_code, found.output
    lines = found.stdout.splitlines()
    assert lines[-3:] == [
        "interrupted after 2 episodes",
        "mean return 8.00 ± 0.00 (95 % interval 8.00 to 8.00)",
        "mean length 8.0",
    ]


@pytest.mark.parametrize("other", ["--human", "--against=random"])
def test_enjoy_does_not_truncate_games(bounded_run: TrainedRun, other: str) -> None:
    found = enjoy(str(bounded_run.paths.root), other, "--max-steps", "5")
    assert found.exit_code == 2
    assert "--max-steps" in found.stderr


def test_the_first_reason_ends_a_loop() -> None:
    reasons: list[str | None] = [None, None]
    interruption = Interruption(lambda: reasons[0], lambda: reasons[1])
    interruption.check()
    reasons[:] = [None, "signal SIGTERM"]
    with pytest.raises(StopRequested, match="signal SIGTERM"):
        interruption.check()
    reasons[0] = "stop file"
    with pytest.raises(StopRequested, match="stop file") as caught:
        interruption.check()
    assert caught.value.reason == "stop file"


def test_a_watched_loop_ends_before_the_next_item() -> None:
    reasons = iter([None, None, "duration"])
    items = Interruption(lambda: next(reasons)).watch(range(5))
    assert [next(items), next(items)] == [0, 1]
    with pytest.raises(StopRequested, match="duration"):
        next(items)


def test_a_stop_file_is_checked_at_most_ten_times_a_second(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    now = [100.0]
    monkeypatch.setattr("sb3_ext.interruption.time.monotonic", lambda: now[0])
    file = StopFile(tmp_path / "stop")
    assert file.find_reason() is None
    (tmp_path / "stop").touch()
    now[0] += 0.05
    assert file.find_reason() is None
    now[0] += 0.06
    assert file.find_reason() == "stop file"


def test_sigterm_ends_any_command_as_an_exception(monkeypatch: pytest.MonkeyPatch) -> None:
    before = signal.getsignal(signal.SIGTERM)
    monkeypatch.setattr("sb3_ext.config.find_shipped_configs", lambda: os.kill(os.getpid(), signal.SIGTERM))
    found = CliRunner().invoke(cli, ["advise"])
    assert found.exit_code == 143
    assert signal.getsignal(signal.SIGTERM) is before
