"""Interrupt a run between the creation of its directory and its first step."""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import gymnasium
import pytest

import sb3_ext
from sb3_ext.runs.run import Run
from sb3_ext.runs.signals import Interrupted

SLOW = """
import multiprocessing, os, pathlib, time
from gymnasium.envs.classic_control import CartPoleEnv

class Slow(CartPoleEnv):
    made = 0

    def __init__(self, marker, slow, only_in_workers=False):
        super().__init__()
        self.marker, self.slow = pathlib.Path(marker), slow
        Slow.made += 1  # the first one is tried out before there is a run directory
        is_worker = multiprocessing.parent_process() is not None
        if is_worker or (not only_in_workers and Slow.made > 1):
            self.wait("init")

    def reset(self, seed=None, options=None):
        self.wait("reset")
        return super().reset(seed=seed, options=options)

    def wait(self, where):
        if self.slow == where:
            self.marker.touch()
            time.sleep(60)

import gymnasium
gymnasium.register("Slow-v0", entry_point=Slow)
"""
WAIT_SECONDS = 60.0


@pytest.fixture
def config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    (tmp_path / "slow_to_start.py").write_text(SLOW)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "slow_to_start", raising=False)
    monkeypatch.delitem(gymnasium.registry, "Slow-v0", raising=False)
    return {
        "env": {"id": "slow_to_start:Slow-v0", "params": {"marker": str(tmp_path / "marker")}},
        "parallel": {"mode": "sequential", "num_envs": 2},
        "agent": {"id": "a2c", "threads": 1},
        "train": {"total_steps": 10, "callbacks": [{"type": "checkpoint", "params": {"self_test": False}}]},
        "eval": {"every_steps": None},
    }


def do_when(exists: Path, action: Callable[[], object]) -> threading.Thread:
    def wait() -> None:
        deadline = time.monotonic() + WAIT_SECONDS
        while not exists.exists():
            assert time.monotonic() < deadline
            time.sleep(0.01)
        action()

    thread = threading.Thread(target=wait)
    thread.start()
    return thread


@pytest.mark.timeout(180)
@pytest.mark.parametrize(
    ("mode", "slow"),
    [
        ("sequential", "init"),
        ("sequential", "reset"),
        pytest.param("subproc", "init", marks=pytest.mark.slow),
        ("workers", "init"),
        ("workers", "reset"),
    ],
)
def test_a_signal_ends_a_start(mode: str, slow: str, config: dict[str, Any], tmp_path: Path) -> None:
    config["parallel"]["mode"] = mode
    config["env"]["params"] |= {"slow": slow, "only_in_workers": mode != "sequential"}
    sent_at: list[float] = []

    def send() -> None:
        sent_at.append(time.monotonic())
        os.kill(os.getpid(), signal.SIGTERM)

    thread = do_when(tmp_path / "marker", send)
    with pytest.raises(Interrupted):
        sb3_ext.train(config, run_dir=tmp_path / "run")
    assert time.monotonic() - sent_at[0] < 30
    thread.join()
    run = Run(tmp_path / "run")
    assert (run.status, run.record.stop_reason) == ("stopped", "signal SIGTERM")
    assert multiprocessing.active_children() == []


def test_the_stop_file_ends_a_start(config: dict[str, Any], tmp_path: Path) -> None:
    config["env"]["params"]["slow"] = "reset"
    thread = do_when(tmp_path / "marker", (tmp_path / "run/stop").touch)
    run = sb3_ext.train(config, run_dir=tmp_path / "run")
    thread.join()
    assert (run.status, run.record.stop_reason) == ("stopped", "stop file")


def test_a_run_that_was_stopped_at_its_start_is_resumed(config: dict[str, Any], tmp_path: Path) -> None:
    config["env"]["params"]["slow"] = "reset"
    do_when(tmp_path / "marker", (tmp_path / "run/stop").touch)
    assert sb3_ext.train(config, run_dir=tmp_path / "run").status == "stopped"
    resolved = tmp_path / "run/config.resolved.yaml"
    resolved.write_text(resolved.read_text().replace("slow: reset", "slow: never"))
    assert sb3_ext.resume(tmp_path / "run").status == "completed"
