"""The page from one laptop to a cluster, and its example files: their commands work."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

import fake_slurm
from pages import find_commands
from sb3_ext.runs.run import Run
from sb3_ext.runs.run_registry import find_runs

PAGE = Path(__file__).parents[2] / "sb3_ext" / "launching" / "README.md"
EXAMPLES = PAGE.parent / "examples"
COMMANDS = find_commands("sb3_ext/launching/README.md")
CONFIG = """
seed: 1
env: {id: CartPole-v1, max_steps: 20}
parallel: {mode: sequential, num_envs: 2}
agent: {id: ppo, engine: stock, threads: 1, params: {n_steps: 16, batch_size: 16, n_epochs: 1}}
train: {total_steps: 64, callbacks: [{type: checkpoint, params: {interval: 32, self_test: false}}]}
eval: {episodes: 1, every_steps: 32}
tracking: {tensorboard: null}
tune:
  trials: 2
  space: {agent.params.learning_rate: {type: float, low: 1.0e-4, high: 1.0e-2, log: true}}
"""


@pytest.fixture
def environment(tmp_path: Path) -> Iterator[dict[str, str]]:
    """A Slurm, and this interpreter's commands in ``PATH``; ``my.yaml`` is in the current directory."""
    fake_slurm.install(tmp_path / "bin", nodes=2)
    (tmp_path / "my.yaml").write_text(CONFIG)
    (tmp_path / "train.sbatch").write_text((EXAMPLES / "train.sbatch").read_text())
    torchrun = tmp_path / "bin" / "torchrun"  # torch may be installed in another environment than this interpreter
    torchrun.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m torch.distributed.run "$@"\n')
    torchrun.chmod(0o755)
    scripts = Path(sys.executable).parent
    yield {**os.environ, "PATH": f"{tmp_path / 'bin'}:{scripts}:{os.environ['PATH']}", "OMP_NUM_THREADS": "1"}
    fake_slurm.shut_down(tmp_path / "bin")


def run(command: str, directory: Path, environment: dict[str, str]) -> None:
    result = subprocess.run(
        ["bash", "-c", command], cwd=directory, env=environment, capture_output=True, text=True, timeout=300
    )
    assert result.returncode == 0, f"{command}\n{result.stdout}{result.stderr}"


def wait_for_status(directory: Path, status: str) -> Run:
    deadline = time.monotonic() + 120
    while not (directory / "status.json").exists() or Run(directory).status != status:
        assert time.monotonic() < deadline
        time.sleep(0.05)
    return Run(directory)


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_every_command_works(tmp_path: Path, environment: dict[str, str]) -> None:
    assert len(COMMANDS) > 10
    for command in COMMANDS:
        run(command, tmp_path, environment)
    wait_for_status(tmp_path / "runs" / "job", "completed")
    statuses = {found.status for found in find_runs(tmp_path / "runs") if found.name.startswith("seed_")}
    assert statuses == {"completed"}
    single, swept, trials = 3, 4 + 4 + 4 + 2, 2 + 2
    assert len(find_runs(tmp_path / "runs")) == single + swept + trials


@pytest.mark.slow
def test_the_job_script_resumes_after_its_time_limit(tmp_path: Path, environment: dict[str, str]) -> None:
    (tmp_path / "my.yaml").write_text(CONFIG.replace("total_steps: 64", "total_steps: 1600"))
    run("sbatch train.sbatch my.yaml runs/job", tmp_path, environment)
    deadline = time.monotonic() + 60
    while not list(tmp_path.glob("runs/job/checkpoints/step_*")):
        assert time.monotonic() < deadline
        time.sleep(0.05)
    run("scancel --signal=TERM 1", tmp_path, environment)

    finished = wait_for_status(tmp_path / "runs" / "job", "completed")

    assert finished.record.step == 1600
    assert len(finished.paths.resumes.read_text().splitlines()) == 1
    assert (tmp_path / "bin" / "jobs" / "1" / "starts").read_text() == "xx"
    options = re.findall(r"^#SBATCH --([\w-]+)", (EXAMPLES / "train.sbatch").read_text(), re.MULTILINE)
    assert {"requeue", "signal", "time"} <= set(options)


@pytest.mark.slow
def test_a_run_that_takes_longer_than_its_jobs_resumes_in_the_next(tmp_path: Path, environment: dict[str, str]) -> None:
    (tmp_path / "my.yaml").write_text(CONFIG.replace("total_steps: 64", "duration: 20s").replace(": 32", ": 4096"))
    options = " ".join(f"--launcher-option {text}" for text in ("cluster=local", "time=30s", "signal_seconds=15"))

    run(f"sb3-ext train my.yaml --seeds 0 --run-dir sweep --launcher slurm {options}", tmp_path, environment)

    finished = Run(tmp_path / "sweep" / "seed_0")
    assert (finished.status, finished.record.stop_reason) == ("completed", "duration")
    assert len(finished.paths.resumes.read_text().splitlines()) >= 1


@pytest.mark.slow
def test_the_skypilot_task_trains_and_resumes(tmp_path: Path, environment: dict[str, str]) -> None:
    task = yaml.safe_load((EXAMPLES / "skypilot.yaml").read_text())
    assert task.keys() == {"name", "resources", "workdir", "file_mounts", "envs", "setup", "run"}
    assert list(task["file_mounts"]) == ["/runs"]
    command = task["run"].replace("/runs/", f"{tmp_path}/runs/")
    variables = {**environment, **task["envs"], "CONFIG": "my.yaml"}

    run(command, tmp_path, variables)
    run(command, tmp_path, variables)  # on the next machine

    assert Run(tmp_path / "runs" / "mine").status == "completed"
