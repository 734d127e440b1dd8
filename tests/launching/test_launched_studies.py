"""``sb3-ext tune --launcher``: a study whose command and workers are killed is finished by the same command."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest
import yaml
from optuna.trial import TrialState

import fake_slurm
import sb3_ext
from sb3_ext.errors import LaunchError
from sb3_ext.runs.run import Run
from sb3_ext.runs.run_registry import find_runs
from sb3_ext.tuning.plan import make_plan
from sb3_ext.tuning.study import open_study

TRIALS, STEPS = 4, 768
CONFIG = {
    "seed": 1,
    "env": {"id": "CartPole-v1", "max_steps": 20},
    "parallel": {"mode": "sequential"},
    "agent": {"id": "ppo", "threads": 1, "params": {"n_steps": 16, "batch_size": 16, "n_epochs": 1}},
    "train": {
        "total_steps": STEPS,
        "callbacks": [{"type": "checkpoint", "params": {"interval": 64, "self_test": False}}],
    },
    "eval": {"episodes": 1, "every_steps": 256},
    "tracking": {"tensorboard": None},
    "tune": {
        "trials": TRIALS,
        "space": {"agent.params.learning_rate": {"type": "float", "low": 1e-4, "high": 1e-2, "log": True}},
    },
}


@pytest.fixture
def config(tmp_path: Path) -> Path:
    path = tmp_path / "my.yaml"
    path.write_text(yaml.safe_dump(CONFIG))
    return path


@contextmanager
def tuning(config: Path, *options: str) -> Iterator[subprocess.Popen[str]]:
    """Start ``sb3-ext tune`` with two workers; it is killed at the end of the block."""
    command = [sys.executable, "-m", "sb3_ext", "tune", str(config), "--jobs", "2", "--study-dir", "study", "--quiet"]
    with subprocess.Popen([*command, *options], cwd=config.parent, stderr=subprocess.PIPE, text=True) as process:
        yield process
        process.kill()


def wait_for_checkpoint(directory: Path, process: subprocess.Popen[str]) -> Run:
    """:return: a run that is trained, and has a checkpoint"""
    runs: list[Run] = []

    def is_found() -> bool:
        assert process.poll() is None, process.communicate()[1]
        runs[:] = [run for run in find_runs(directory) if run.status == "running" and run.record.last_checkpoint]
        return bool(runs)

    wait_until(is_found)
    return runs[0]


def wait_until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 200
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def check_study(config: Path) -> None:
    """Each trial is complete, and its run was trained to the end exactly once."""
    study = open_study(make_plan(config, directory=config.parent / "study", is_distributed=True))
    assert [trial.state for trial in study.list_trials()] == [TrialState.COMPLETE] * TRIALS
    runs = find_runs(config.parent / "study")
    assert [(run.name, run.status, run.record.step) for run in runs] == [
        (f"trial_{number:04}", "completed", STEPS) for number in range(TRIALS)
    ]
    assert any(run.paths.resumes.exists() for run in runs)


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_a_study_on_slurm_is_finished_after_kills(
    config: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    slurm = tmp_path / "bin"
    fake_slurm.install(slurm, nodes=2)
    monkeypatch.setenv("PATH", f"{slurm}:{os.environ['PATH']}")
    try:
        with tuning(config, "--launcher", "slurm") as process:
            wait_for_checkpoint(tmp_path / "study", process)
        jobs = [psutil.Process(int((slurm / "jobs" / job / "pid").read_text())) for job in ("1", "2")]
        assert all(job.is_running() for job in jobs), "jobs do not end with the command"
        jobs[0].kill()
        with tuning(config, "--launcher", "slurm") as process:
            output = process.communicate(timeout=600)[1]
        assert process.returncode == 0, output
        check_study(config)
        assert not any(job.is_running() for job in jobs)
        # The second job was found again; the first one was replaced.
        assert (slurm / "jobs" / "2" / "state").read_text() == "COMPLETED"
        assert len(list((slurm / "jobs").iterdir())) == 3
    finally:
        fake_slurm.shut_down(slurm)


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_a_study_on_ray_is_finished_after_kills(config: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    with tuning(config, "--launcher", "ray") as process:
        wait_for_checkpoint(tmp_path / "study", process)
        started = psutil.Process(process.pid).children(recursive=True)
    assert {"raylet", "gcs_server"} <= {each.name() for each in started}
    # Two agents of Ray first look for a minute for the head that is gone.
    assert psutil.wait_procs(started, timeout=200)[1] == []
    with tuning(config, "--launcher", "ray") as process:
        run = wait_for_checkpoint(tmp_path / "study", process)
        assert run.record.pid is not None
        psutil.Process(run.record.pid).kill()
        started = psutil.Process(process.pid).children(recursive=True)
        output = process.communicate(timeout=600)[1]
    assert process.returncode == 0, output
    assert "was lost (killed by SIGKILL); a new one replaces it" in output
    assert psutil.wait_procs(started, timeout=200)[1] == []
    check_study(config)


def test_python_refuses_launchers_as_the_command_does(
    config: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    study_dir = tmp_path / "study"
    with pytest.raises(LaunchError, match="Slurm's commands are not on this machine"):
        sb3_ext.tune(config, study_dir=study_dir, launcher="slurm")
    with pytest.raises(LaunchError, match="partion: unknown parameter; did you mean 'partition'"):
        sb3_ext.tune(config, study_dir=study_dir, launcher="slurm", launcher_options={"partion": "gpu"})
    with pytest.raises(ValueError, match="in_process runs the trials here, but launcher is 'slurm'; give one of them"):
        sb3_ext.tune(config, study_dir=study_dir, launcher="slurm", in_process=True)
    assert not study_dir.exists()
