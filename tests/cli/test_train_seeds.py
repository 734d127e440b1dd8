"""``sb3-ext train --seeds``."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import psutil
import pytest
from click.testing import CliRunner
from mlflow import MlflowClient

from sb3_ext.cli import cli
from sb3_ext.launching.task import Task, TaskEnd
from sb3_ext.runs.run import Run
from sb3_ext.sweeps import sweep_members
from sb3_ext.sweeps.sweep import Sweep
from sb3_ext.sweeps.sweep_members import MemberEnd

CONFIG = """
env: {id: CartPole-v1, max_steps: 20}
parallel: {mode: sequential}
agent: {id: ppo, threads: 1, params: {n_steps: 16, batch_size: 16, n_epochs: 1, policy_kwargs: {net_arch: [8]}}}
train: {total_steps: 64, callbacks: [{type: checkpoint, params: {interval: 16, self_test: false}}]}
eval: {episodes: 1, every_steps: null}
"""


@pytest.fixture(autouse=True)
def in_tmp_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "my.yaml").write_text(CONFIG)


def invoke(*arguments: str) -> tuple[int, str]:
    result = CliRunner().invoke(cli, ["train", *arguments])
    return result.exit_code, result.output


def test_each_seed_is_a_run_and_the_same_command_trains_nothing_twice() -> None:
    command = ("my.yaml", "--gamma", "0.9", "--set", "agent.params.gae_lambda=0.8", "--run-dir", "sweep")
    status, output = invoke(*command, "--seeds", "1..2", "--jobs", "2")
    assert status == 0, output
    runs = [Run(Path("sweep") / f"seed_{seed}") for seed in (1, 2)]
    assert [run.status for run in runs] == ["completed", "completed"]
    for seed, run in enumerate(runs, start=1):
        config = run.paths.resolved_config.read_text()
        assert f"\nseed: {seed}\n" in f"\n{config}"
        assert "gamma: 0.9" in config
        assert "gae_lambda: 0.8" in config
    began = [run.record.start_time for run in runs]
    status, output = invoke(*command, "--seeds", "1..2")
    assert status == 0
    assert "2 of them complete" in output
    assert [run.record.start_time for run in runs] == began
    assert CliRunner().invoke(cli, ["plot", "sweep"]).exit_code == 0
    assert Path("plot.png").exists()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--seeds", "0..x"], "--seeds 0..x: expected numbers and ranges"),
        (["--seeds", "0", "--seed", "1"], "--seeds cannot be given with --seed"),
        (["--seeds", "0", "--resume"], "the same command again finishes what is missing"),
        (["--jobs", "2"], "--jobs needs --seeds"),
        (["--launcher", "slurm"], "--launcher needs --seeds"),
        (["--seeds", "0", "--launcher-option", "cpus=1"], "--launcher-option needs --launcher"),
        (["--seeds", "0", "--launcher", "slumr"], "--launcher: unknown launcher 'slumr'; did you mean 'slurm'?"),
        (
            ["--seeds", "0", "--launcher", "local", "--launcher-option", "cpus=1"],
            "--launcher-option cpus: unknown parameter; none is expected here",
        ),
        (["--seeds", "0", "--set", "agent.params.gama=1"], "gama"),
    ],
)
def test_a_mistake_is_reported_before_anything_is_created(arguments: list[str], message: str) -> None:
    status, output = invoke("my.yaml", *arguments)
    assert status == 2, output
    assert message in output
    assert not Path("runs").exists() or list(Path("runs").iterdir()) == []


def test_a_mistake_that_only_the_first_run_finds_ends_the_sweep() -> None:
    status, output = invoke("my.yaml", "--seeds", "0..5", "--set", "env.params.gravity=1", "--run-dir", "sweep")
    assert status == 2, output
    assert output.count("gravity") == 1
    assert not Path("sweep").exists()


@pytest.mark.parametrize(("statuses", "expected"), [((2, 2), 2), ((2, 1), 1), ((2, 0), 2), ((0, 0), 0)])
def test_a_sweep_whose_runs_find_a_full_disk_has_their_exit_status(
    statuses: tuple[int, ...], expected: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    class EndedMembers:
        def __init__(self, sweep: Sweep, seeds: Sequence[int], *_others: object) -> None:
            tasks = [Task(f"seed_{seed}", (), sweep.get_log(seed)) for seed in seeds]
            self._ends = [
                MemberEnd(seed, TaskEnd(task, status), is_resumed=False)
                for seed, task, status in zip(seeds, tasks, statuses, strict=True)
            ]

        @property
        def is_done(self) -> bool:
            return not self._ends

        def check(self) -> list[MemberEnd]:
            ends, self._ends = self._ends, []
            return ends

        def kill(self) -> None:
            pass

    monkeypatch.setattr(sweep_members, "SweepMembers", EndedMembers)
    monkeypatch.setattr(Sweep, "has_runs", True)  # so that it is not a mistake that all runs have
    assert invoke("my.yaml", "--seeds", "0..1", "--run-dir", "sweep")[0] == expected


@pytest.mark.slow
def test_a_sweep_killed_twice_is_finished_by_the_same_command() -> None:
    command = [sys.executable, "-m", "sb3_ext", "train", "my.yaml", "--seeds", "0..9", "--jobs", "2"]
    command += ["--run-dir", "sweep", "--total-steps", "256"]
    for sent in (signal.SIGKILL, signal.SIGTERM):
        process = subprocess.Popen(command)
        wait_for_members(process, Path("sweep"))[0].kill()  # it is resumed
        members = wait_for_members(process, Path("sweep"))
        os.kill(process.pid, sent)
        assert process.wait(60) == (-sent if sent == signal.SIGKILL else 75)
        psutil.wait_procs(members, timeout=60)
        assert not any(member.is_running() for member in members)
    assert subprocess.run(command, timeout=600).returncode == 0
    runs = [Run(Path("sweep") / f"seed_{seed}") for seed in range(10)]
    assert [(run.status, run.record.step) for run in runs] == [("completed", 256)] * 10


def wait_for_members(process: subprocess.Popen[bytes], sweep: Path) -> list[psutil.Process]:
    """:return: the processes of two runs, one of which has saved a new checkpoint"""
    before = set(sweep.glob("seed_*/checkpoints/step_*"))
    deadline = time.monotonic() + 120
    while not set(sweep.glob("seed_*/checkpoints/step_*")) - before:
        assert time.monotonic() < deadline
        assert process.poll() is None
        time.sleep(0.05)
    return psutil.Process(process.pid).children(recursive=True)


@pytest.mark.slow
def test_the_runs_are_nested_in_a_run_of_the_sweep_and_form_a_group(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("TRACKIO_DIR", "WANDB_CACHE_DIR", "WANDB_CONFIG_DIR", "WANDB_DATA_DIR"):
        monkeypatch.setenv(name, str(tmp_path / name))
    trackers = ("--mlflow", "--wandb", "--set", "tracking.wandb.mode=offline", "--trackio")
    command = ("my.yaml", *trackers, "--run-dir", "sweep")
    status, output = invoke(*command, "--seeds", "1..2")
    assert status == 0, output
    client = MlflowClient(f"sqlite:///{tmp_path / 'sweep' / 'mlflow.db'}")
    found = client.search_runs([client.get_experiment_by_name("sb3_ext").experiment_id])
    [parent] = [run for run in found if "mlflow.parentRunId" not in run.data.tags]
    assert (parent.info.run_name, parent.info.status) == ("sweep", "FINISHED")
    assert parent.data.tags["runs_completed"] == "2"
    nested = {run.data.tags["seed"]: run for run in found if run is not parent}
    assert sorted(nested) == ["1", "2"]
    for seed, run in nested.items():
        assert (run.info.run_name, run.info.status) == (f"seed_{seed}", "FINISHED")
        assert run.data.tags["mlflow.parentRunId"] == parent.info.run_id
        directory = tmp_path / "sweep" / f"seed_{seed}"
        offline = f"tracking/wandb/offline-run-*-{Run(directory).trackers['wandb']}/*.wandb"
        [path] = directory.glob(offline)
        assert b"sweep" in path.read_bytes()
