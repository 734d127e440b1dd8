"""``sb3-ext tune`` as a user meets it: with workers, signals and mistakes."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import psutil
import pytest
import yaml
from click.testing import CliRunner, Result

from sb3_ext.cli import cli
from sb3_ext.config import load_config
from sb3_ext.launching.core_shares import share_cores
from sb3_ext.runs.run_registry import find_runs

DATA: dict[str, Any] = {
    "seed": 1,
    "env": {"id": "CartPole-v1"},
    "agent": {"id": "ppo", "params": {"n_steps": 32, "batch_size": 32, "n_epochs": 1}},
    "train": {
        "total_steps": 128,
        "callbacks": [{"type": "checkpoint", "params": {"interval": 64, "self_test": False}}],
    },
    "eval": {"every_steps": 64, "episodes": 1},
    "tune": {
        "trials": 2,
        "space": {"agent.params.learning_rate": {"type": "float", "low": 1e-4, "high": 1e-2, "log": True}},
    },
}


@pytest.fixture
def config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Path]:
    """Write ``my.yaml`` into the current directory, with sections changed."""
    monkeypatch.chdir(tmp_path)

    def write(**changes: Any) -> Path:
        data = {
            key: {**value, **changes.get(key, {})} if isinstance(value, dict) else value for key, value in DATA.items()
        }
        path = Path("my.yaml")
        path.write_text(yaml.safe_dump(data))
        return path

    return write


@pytest.fixture
def start_tuning() -> Iterator[Callable[..., subprocess.Popen[str]]]:
    """Start the command in a process of its own; it and its workers are ended with the test."""
    started: list[psutil.Process] = []

    def start(*arguments: object) -> subprocess.Popen[str]:
        command = [sys.executable, "-m", "sb3_ext", "tune", *map(str, arguments)]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        started.append(psutil.Process(process.pid))
        return process

    yield start
    for process in started:
        try:
            left = [*process.children(recursive=True), process]
        except psutil.NoSuchProcess:
            continue
        for item in left:
            with suppress(psutil.NoSuchProcess):  # a child of one that was killed before it
                item.kill()


def tune(*arguments: object) -> Result:
    return CliRunner().invoke(cli, ["tune", *map(str, arguments)])


def wait_until(condition: Callable[[], Any]) -> Any:
    deadline = time.monotonic() + 240
    while not (found := condition()):
        assert time.monotonic() < deadline
        time.sleep(0.02)
    return found


def test_a_study_with_two_workers(config: Callable[..., Path]) -> None:
    result = tune(config(), "--jobs", 2)

    assert result.exit_code == 0, result.output
    assert "2/2 trials" in result.output
    assert "trials     2 of 2" in result.output
    assert "best       sb3-ext train runs/my/best.yaml" in result.output
    assert "optuna-dashboard sqlite:///" in result.output
    assert [run.name for run in find_runs(Path("runs"))] == ["trial_0000", "trial_0001"]
    assert load_config("runs/my/best.yaml").train.total_steps == 128

    again = tune("my.yaml", "--resume", "--quiet")  # there is nothing left to do
    assert again.exit_code == 0
    assert "trials     2 of 2" in again.output


def test_a_killed_command_takes_its_workers_along_and_ctrl_c_ends_the_continued_study_soon(
    config: Callable[..., Path], start_tuning: Any
) -> None:
    path = config(train={"total_steps": 1_000_000})
    process = start_tuning(path, "--trials", 1)
    checkpoints = Path("runs/my/trial_0000/checkpoints")
    wait_until(lambda: checkpoints.exists() and any(checkpoints.glob("step_*/manifest.json")))
    workers = psutil.Process(process.pid).children()
    assert workers

    os.kill(process.pid, signal.SIGKILL)
    process.communicate()

    _, alive = psutil.wait_procs(workers, timeout=120)
    assert alive == []
    [run] = find_runs(Path("runs"))
    assert (run.status, run.record.stop_reason) == ("stopped", "signal SIGTERM")
    steps = run.record.step

    process = start_tuning(path, "--trials", 1, "--resume")
    wait_until(lambda: run.paths.resumes.exists() and run.record.step > steps)
    workers = psutil.Process(process.pid).children()
    process.send_signal(signal.SIGINT)
    output, _ = process.communicate(timeout=120)

    assert process.returncode == 130, output
    assert "interrupted: the same command continues the study" in output
    assert [worker for worker in workers if worker.is_running()] == []
    assert (run.status, run.record.stop_reason) == ("stopped", "signal SIGTERM")


@pytest.mark.slow
def test_a_study_that_gives_up(config: Callable[..., Path], start_tuning: Any) -> None:
    path = config(env={"params": {"render_mode": "nonsense"}}, tune={"trials": 9, "max_failures_in_a_row": 2})
    process = start_tuning(path)
    output, _ = process.communicate(timeout=280)

    assert process.returncode == 1, output
    assert "2 trials in a row failed" in output
    assert "nonsense" in output


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["no.yaml"], "no.yaml: cannot be read"),
        (["my.yaml", "--trials", "0"], "0 is not in the range"),
        (["my.yaml", "--timeout", "soon"], "--timeout: tune.timeout: expected a duration"),
        (["my.yaml", "--study", "a/b"], "--study: tune.study: expected letters, digits"),
        (["my.yaml", "--storage", "redis://x"], "tune.storage: expected journal, sqlite:///FILE"),
        (["my.yaml", "--resume"], "there is no study 'my'"),
        (["my.yaml", "--set", "eval.every_steps=null"], "my.yaml: eval: trials are judged by evaluations"),
        (["my.yaml", "--set", "tune.sampler=best"], "tune.sampler.type: expected one of tpe"),
    ],
)
def test_mistakes_stop_it_before_anything_is_made(
    config: Callable[..., Path], arguments: list[str], message: str
) -> None:
    config()

    result = tune(*arguments)

    assert result.exit_code == 2
    assert message in result.output
    assert not list(Path("runs").glob("*/trial_*"))


def test_a_changed_space_is_told(config: Callable[..., Path]) -> None:
    from sb3_ext.tuning.plan import make_plan
    from sb3_ext.tuning.study import open_study

    open_study(make_plan(config()))
    space = {"agent.params.gamma": {"type": "float", "low": 0.9, "high": 0.99}}

    result = tune(config(tune={"space": space}))

    assert result.exit_code == 2
    assert "tune.space.agent.params.learning_rate: was" in result.output
    assert "tune.space.agent.params.gamma: was nothing, is" in result.output


def test_without_optuna_the_error_names_the_extra(config: Callable[..., Path], monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in sys.modules if name.startswith("sb3_ext.tuning")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setattr("importlib.util.find_spec", lambda *_: None)

    result = tune(config())

    assert result.exit_code == 2
    assert "pip install 'sb3-ext[tune]'" in result.output


@pytest.mark.parametrize(
    ("jobs", "cores", "shares"),
    [
        (1, [0, 1], [[0, 1]]),
        (2, [0, 1], [[0], [1]]),
        (2, [0, 1, 4, 5, 6], [[0, 1], [4, 5]]),
        (3, [0, 1], [None, None, None]),
    ],
)
def test_cores_are_shared_out(jobs: int, cores: list[int], shares: list[list[int] | None]) -> None:
    assert share_cores(jobs, cores) == shares
