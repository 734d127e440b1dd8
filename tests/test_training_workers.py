"""Training with environments in workers, and failures of workers."""

from __future__ import annotations

import logging
import re
from pathlib import Path
from typing import Any

import pytest
import yaml

import sb3_ext
from process_commands import list_workers
from sb3_ext import ConfigError, train
from sb3_ext.checkpoints.store.checkpoint_store import CheckpointStore
from sb3_ext.runs.run import Run
from sb3_ext.vec.workers.worker_errors import WorkerError


@pytest.fixture(autouse=True)
def working_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def make_config(env: dict[str, Any], **parallel: Any) -> dict[str, Any]:
    params = {"n_steps": 8, "batch_size": 8, "n_epochs": 1, "policy_kwargs": {"net_arch": [8]}}
    return {
        "seed": 0,
        "env": {"id": "faulty_env:faulty/Faulty-v0", "params": env},
        "parallel": {"num_workers": 2, "num_envs_per_worker": 2, **parallel},
        "agent": {"id": "ppo", "threads": 1, "params": params},
        "train": {"total_steps": 256, "callbacks": [{"type": "checkpoint", "params": {"interval": 64}}]},
        "eval": {"every_steps": None, "episodes": 1},
    }


def test_the_chosen_mode_is_recorded_and_resumed() -> None:
    config = make_config({"at_step": None})
    del config["parallel"]["num_envs_per_worker"]
    run = train({**config, "parallel": {"mode": "workers", "num_envs": 4, "num_workers": 2}}, run_dir="run")
    resolved = yaml.safe_load(run.paths.resolved_config.read_text())["parallel"]
    assert (resolved["mode"], resolved["num_workers"], resolved["num_envs_per_worker"]) == ("workers", 2, 2)
    changed = ["train.total_steps=320", "parallel.step_timeout_seconds=50", "parallel.max_worker_restarts=1"]
    assert sb3_ext.resume("run", overrides=changed).record.step == 320
    with pytest.raises(ConfigError, match=r"parallel\.num_envs: 4 in the run, now 8\n"):
        sb3_ext.resume("run", overrides=["train.total_steps=400", "parallel={mode: subproc, num_envs: 8}"])


def test_an_exception_ends_the_run_with_its_rank_and_traceback() -> None:
    with pytest.raises(WorkerError):
        train(make_config({"at_step": 50, "seed": 3}), run_dir="run")
    run = Run(Path("run"))
    assert run.status == "failed"
    assert "environment 3 (in worker 1) failed: ArithmeticError: the engine is on fire" in run.record.stop_reason
    assert re.search(r"on fire \([^()]*faulty_env\.py:\d+\)$", run.record.stop_reason)
    log = run.paths.log.read_text()
    assert log.count("Traceback") == 1
    frames = re.findall(r'File "(.*?)"', log)
    assert not [file for file in frames if "sb3_ext" in Path(file).parts]
    assert frames[-1].endswith("faulty_env.py")
    assert 'raise ArithmeticError("the engine is on fire")' in log
    latest = CheckpointStore(run.paths.checkpoints).find_latest()
    assert latest is not None
    assert 128 <= latest.step <= 192
    assert list_workers() == []


@pytest.mark.parametrize("fault", ["exit", "stop"])
def test_a_lost_worker_ends_the_run(fault: str) -> None:
    with pytest.raises(WorkerError):
        train(make_config({"fault": fault, "at_step": 50, "seed": 1}, step_timeout_seconds=2), run_dir="run")
    run = Run(Path("run"))
    assert run.status == "failed"
    expected = {"exit": "ended with exit status 3", "stop": "hangs"}[fault]
    assert f"worker 0 (environments 0 to 1) {expected}" in run.record.stop_reason
    assert CheckpointStore(run.paths.checkpoints).find_latest() is not None
    assert list_workers() == []


@pytest.mark.parametrize(("fault", "expected"), [("exit", "ended with exit status 3"), ("hang", "hangs")])
def test_an_environment_that_crashes_in_its_first_steps_crashes_in_a_worker(fault: str, expected: str) -> None:
    with pytest.raises(WorkerError):
        train(make_config({"fault": fault, "at_step": 3}, step_timeout_seconds=1), run_dir="run")
    run = Run(Path("run"))
    assert expected in run.record.stop_reason
    assert "will be approximate: the environment failed in the self-test" in run.paths.log.read_text()
    assert list_workers() == []


def test_a_lost_worker_is_replaced_if_allowed(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING)
    env = {"fault": "kill", "at_step": 50, "seed": 1, "marker": str(Path("marker").absolute())}
    run = train(make_config(env, max_worker_restarts=1), run_dir="run")
    assert (run.status, run.record.step) == ("completed", 256)
    assert "worker 0 (environments 0 to 1) was killed by SIGKILL while stepping; replacing it (1 of at most 1)" in (
        run.paths.log.read_text()
    )
    rows = [len(path.read_text().splitlines()) for path in sorted(run.paths.monitor.iterdir())]
    assert rows[2:] == [5, 5]  # 64 steps in episodes of 20, below two lines of header
    assert rows[:2] == [4, 4]  # one was broken off


@pytest.mark.parametrize("where", ["make", "reset"])
def test_an_environment_that_fails_immediately_reports_its_own_error(where: str) -> None:
    with pytest.raises((ConfigError, WorkerError), match="the engine is on fire"):
        train(make_config({"where": where}), run_dir="run")
    assert list_workers() == []
