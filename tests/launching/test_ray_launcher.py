"""Tasks on Ray. What needs Ray itself is slow: its start takes ten seconds."""

from __future__ import annotations

import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import psutil
import pytest

from ray_instance import starting_ray
from sb3_ext import ray_cluster
from sb3_ext.errors import LaunchError, MissingExtraError
from sb3_ext.launching import ray_launcher
from sb3_ext.launching.ray_launcher import RayLauncher
from sb3_ext.launching.task import Task, TaskEnd
from sb3_ext.runs.run import Run

WaitForEnds = Callable[..., dict[str, TaskEnd]]

WAIT = """
import signal, sys
signal.signal(signal.SIGTERM, lambda *_: sys.exit(75))
sys.stdin.read()  # until the process that started this one ends
"""
CONFIG = """
env: {id: CartPole-v1, max_steps: 20}
parallel: {mode: sequential}
agent: {id: ppo, threads: 1, params: {n_steps: 16, batch_size: 16, n_epochs: 1, policy_kwargs: {net_arch: [8]}}}
train: {total_steps: 2048, callbacks: [{type: checkpoint, params: {interval: 64, self_test: false}}]}
eval: {episodes: 1, every_steps: null}
tracking: {tensorboard: null}
"""


@pytest.fixture
def assumed_ray(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the package seem installed: it is not in the fast tests' environment."""
    monkeypatch.setattr(ray_launcher, "find_spec", lambda name: ModuleSpec(name, None))


def test_without_the_package_the_extra_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ray_launcher, "find_spec", lambda name: None)

    with pytest.raises(MissingExtraError, match=r"pip install 'sb3-ext\[ray\]'"):
        RayLauncher(tmp_path, 1)


@pytest.mark.usefixtures("assumed_ray")
@pytest.mark.parametrize("address", ["head", "ray://head:10001", "head:port", ":6379"])
def test_an_address_without_a_port_is_refused(tmp_path: Path, address: str) -> None:
    with pytest.raises(LaunchError, match=f"expected the head's HOST:PORT or auto, found '{address}'"):
        RayLauncher(tmp_path, 1, address=address)


@pytest.mark.usefixtures("assumed_ray")
def test_an_unreachable_head_is_reported_in_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    monkeypatch.setenv("RAY_ADDRESS", f"127.0.0.1:{port}")

    with pytest.raises(LaunchError) as caught:
        RayLauncher(tmp_path, 1)
    assert f"no Ray head at 127.0.0.1:{port} (" in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.usefixtures("assumed_ray")
def test_a_ray_that_does_not_start_is_reported_in_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(**options: Any) -> None:
        raise Exception("The current node timed out\nduring startup.")  # as Ray does

    monkeypatch.setitem(sys.modules, "ray", SimpleNamespace(is_initialized=lambda: False, init=fail))
    for name in ("RAY_ADDRESS", "RAY_USAGE_STATS_ENABLED", "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO"):
        monkeypatch.setenv(name, "")

    with pytest.raises(LaunchError) as caught:
        RayLauncher(tmp_path, 1)
    expected = "--launcher ray: Ray cannot be started on this machine: The current node timed out during startup."
    assert str(caught.value) == expected


@pytest.mark.slow
def test_another_service_on_the_port_is_reported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ray_cluster, "_TRIAL_SECONDS", 0.1)
    with socket.create_server(("127.0.0.1", 0)) as server:
        address = f"127.0.0.1:{server.getsockname()[1]}"
        with pytest.raises(LaunchError, match=f"{address} is in use by something that does not answer as a Ray head"):
            RayLauncher(tmp_path, 1, address=address)


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    with starting_ray() as started:
        yield started


def make_task(directory: Path, code: str, name: str = "task") -> Task:
    return Task(name, ("-c", code), directory / f"{name}.log", input="text\n", directory=directory)


def find_process(code: str) -> psutil.Process:
    """:return: the process that runs a code"""
    deadline = time.monotonic() + 60
    while True:
        for process in psutil.process_iter(["cmdline"]):
            if code in (process.info["cmdline"] or []):
                return process
        assert time.monotonic() < deadline
        time.sleep(0.05)


@pytest.mark.slow
def test_tasks_end_stop_and_are_lost(address: str, tmp_path: Path, wait_for_ends: WaitForEnds) -> None:
    code = "import os; print(os.environ['OMP_NUM_THREADS'], os.getcwd(), input()); raise SystemExit(3)"
    with closing(RayLauncher(tmp_path, 4, address=address)) as launcher:
        launcher.start(make_task(tmp_path, code, "failing"))
        assert wait_for_ends(launcher)["failing"].exit_status == 3
        assert (tmp_path / "failing.log").read_text() == f"1 {tmp_path} text\n"

        for name in ("killed", "stopped"):
            launcher.start(make_task(tmp_path, f"{WAIT}  # {name}", name))
        killed, stopped = (find_process(f"{WAIT}  # {name}") for name in ("killed", "stopped"))
        actor = killed.parent()
        assert actor is not None
        actor.kill()
        end = wait_for_ends(launcher)["killed"]
        assert end.is_interrupted
        assert end.explanation.startswith("Ray has lost it: ")
        assert psutil.wait_procs([killed], timeout=30)[1] == []

        launcher.stop()
        assert wait_for_ends(launcher)["stopped"].exit_status == 75
        assert psutil.wait_procs([stopped], timeout=30)[1] == []


@pytest.mark.slow
def test_a_sweep_resumes_the_run_of_a_killed_worker(address: str, tmp_path: Path) -> None:
    (tmp_path / "my.yaml").write_text(CONFIG)
    command = [sys.executable, "-m", "sb3_ext", "train", "my.yaml", "--seeds", "0..3", "--run-dir", "sweep"]
    command += ["--launcher", "ray", "--launcher-option", f"address={address}"]
    with subprocess.Popen(command, cwd=tmp_path, stderr=subprocess.PIPE, text=True) as process:
        deadline = time.monotonic() + 120
        while not (saved := list(tmp_path.glob("sweep/seed_*/checkpoints/step_*"))):
            assert time.monotonic() < deadline
            assert process.poll() is None
            time.sleep(0.05)
        run = Run(saved[0].parents[1])
        assert run.record.pid is not None
        worker = psutil.Process(run.record.pid).parent()
        assert worker is not None
        worker.send_signal(signal.SIGKILL)
        output = process.communicate(timeout=240)[1]

    assert process.returncode == 0, output
    assert f"{run.name.replace('_', ' ')}: Ray has lost it" in output
    runs = [Run(tmp_path / "sweep" / f"seed_{seed}") for seed in range(4)]
    assert [(member.status, member.record.step) for member in runs] == [("completed", 2048)] * 4
    assert [len(member.paths.resumes.read_text().splitlines()) for member in runs if member.paths.resumes.exists()] == [
        1
    ]
