"""Stopping runs of real processes, and leaving alone what is not the run."""

from __future__ import annotations

import dataclasses
import os
import signal
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from sb3_ext.atomic import write_json
from sb3_ext.errors import RunError
from sb3_ext.file_lock import is_locked
from sb3_ext.runs import owner, stop_request
from sb3_ext.runs import run as run_module
from sb3_ext.runs.lock import RunLock
from sb3_ext.runs.run import Run
from sb3_ext.runs.status import RunStatus, read_status
from sb3_ext.runs.stop_request import StopOutcome, stop_run

StartRun = Callable[[Path], "subprocess.Popen[str]"]
StartPython = Callable[..., "subprocess.Popen[str]"]

SLEEP = "import time; print('ready', flush=True); time.sleep(600)"


def claim_run(directory: Path, **fields: Any) -> Run:
    """A run directory whose status names this process, unless the fields say otherwise."""
    directory.mkdir()
    write_json(directory / "status.json", dataclasses.replace(RunStatus.begin(), **fields).to_json())
    return Run(directory)


@pytest.fixture
def sent_signals(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Signals that would have been sent; none is."""
    sent: list[int] = []
    monkeypatch.setattr(signal, "pidfd_send_signal", lambda descriptor, number: sent.append(number))
    monkeypatch.setattr(os, "kill", lambda pid, number: sent.append(number))
    return sent


def test_a_running_run_ends_as_asked(tmp_path: Path, start_run: StartRun) -> None:
    process = start_run(tmp_path / "a")
    outcome = stop_run(Run(tmp_path / "a"), timeout_seconds=30)

    assert outcome == StopOutcome("stopped", has_ended=True, was_asked=True)
    assert process.wait(timeout=30) == 0
    assert read_status(tmp_path / "a" / "status.json").stop_reason == "stop file"
    assert not (tmp_path / "a" / "stop").exists()
    assert is_locked(tmp_path / "a" / "lock") is False


def test_a_frozen_run_does_not_end_in_time(tmp_path: Path, start_run: StartRun) -> None:
    process = start_run(tmp_path / "a")
    process.send_signal(signal.SIGSTOP)
    outcome = stop_run(Run(tmp_path / "a"), timeout_seconds=0.2)

    assert outcome == StopOutcome("running", has_ended=False, was_asked=True)
    assert (tmp_path / "a" / "stop").exists()
    process.send_signal(signal.SIGCONT)
    assert process.wait(timeout=30) == 0


@pytest.mark.parametrize("status", ["completed", "failed"])
def test_a_run_that_is_over_is_left_alone(tmp_path: Path, status: str, sent_signals: list[int]) -> None:
    run = claim_run(tmp_path / "a", status=status)

    assert stop_run(run, timeout_seconds=0) == StopOutcome(status, has_ended=True, was_asked=False)
    assert not run.paths.stop.exists()
    assert sent_signals == []


def test_another_process_with_the_old_pid_is_not_touched(tmp_path: Path, start_python: StartPython) -> None:
    other_process = start_python(SLEEP)
    assert other_process.stdout is not None
    other_process.stdout.readline()
    run = claim_run(tmp_path / "a", pid=other_process.pid, process_start_ticks=1)

    assert stop_run(run, timeout_seconds=0) == StopOutcome("dead", has_ended=True, was_asked=False)
    lock = RunLock(run.paths.lock)
    outcome = stop_run(run, timeout_seconds=0)
    lock.release()
    assert outcome.note == f"process {other_process.pid} is not the run's owner, so it got the stop file only"
    with pytest.raises(subprocess.TimeoutExpired):
        other_process.wait(timeout=0.2)


def test_another_hosts_run_gets_the_stop_file_only(tmp_path: Path, sent_signals: list[int]) -> None:
    run = claim_run(tmp_path / "a", host="another")
    outcome = stop_run(run, timeout_seconds=0)

    assert (outcome.status, outcome.has_ended) == ("running", False)
    assert outcome.note == "it runs on another host, another, so it got the stop file only"
    assert run.paths.stop.exists()
    assert sent_signals == []


def test_a_run_is_stopped_from_another_host_that_does_not_see_its_lock(
    tmp_path: Path, start_run: StartRun, monkeypatch: pytest.MonkeyPatch
) -> None:
    process = start_run(tmp_path / "a")
    monkeypatch.setattr(owner, "_read_host", lambda: "login-node")
    monkeypatch.setattr(run_module, "is_locked", lambda _path: False)
    monkeypatch.setattr(stop_request, "is_locked", lambda _path: False)
    run = Run(tmp_path / "a")
    assert run.status == "running"

    outcome = stop_run(run, timeout_seconds=30)

    assert (outcome.status, outcome.has_ended) == ("stopped", True)
    assert process.wait(timeout=30) == 0
    assert run.record.stop_reason == "stop file"


def test_another_users_process_is_said_to_be_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(descriptor: int, number: int) -> None:
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(signal, "pidfd_send_signal", refuse)
    run = claim_run(tmp_path / "a")

    outcome = stop_run(run, timeout_seconds=0)
    assert outcome.note == f"process {os.getpid()} belongs to another user, so it got the stop file only"
    assert run.paths.stop.exists()


def test_a_status_without_a_process_gets_the_stop_file_only(tmp_path: Path, sent_signals: list[int]) -> None:
    run = claim_run(tmp_path / "a", pid=None)
    lock = RunLock(run.paths.lock)
    outcome = stop_run(run, timeout_seconds=0)
    lock.release()

    assert outcome.note == "its status names no process, so it got the stop file only"
    assert sent_signals == []


@pytest.mark.parametrize("pid", [0, -1, 2**40])
def test_a_hostile_pid_is_never_signalled(tmp_path: Path, sent_signals: list[int], pid: int) -> None:
    run = claim_run(tmp_path / "a", pid=pid)
    lock = RunLock(run.paths.lock)
    outcome = stop_run(run, timeout_seconds=0)
    lock.release()

    assert outcome.note is not None
    assert sent_signals == []


def test_without_pidfd_a_plain_signal_is_sent(
    tmp_path: Path, sent_signals: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delattr(os, "pidfd_open")
    run = claim_run(tmp_path / "a")

    assert stop_run(run, timeout_seconds=0).note is None
    assert sent_signals == [signal.SIGTERM]


def test_a_stop_file_that_cannot_be_left_is_an_error(tmp_path: Path, sent_signals: list[int]) -> None:
    run = claim_run(tmp_path / "a")
    run.paths.stop.symlink_to(tmp_path / "missing" / "file")

    with pytest.raises(RunError, match="cannot create the stop file"):
        stop_run(run, timeout_seconds=0)
    assert sent_signals == []


def test_a_corrupt_status_is_an_error(tmp_path: Path, sent_signals: list[int]) -> None:
    run = claim_run(tmp_path / "a")
    run.paths.status.write_text("{")

    with pytest.raises(RunError, match="corrupt"):
        stop_run(run, timeout_seconds=0)
    assert sent_signals == []
