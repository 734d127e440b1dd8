"""The lock of a run directory, between processes."""

from __future__ import annotations

import errno
import fcntl
import os
import signal
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from sb3_ext.file_lock import is_locked
from sb3_ext.runs.lock import RunLock

HOLD = """
import sys
from pathlib import Path
from sb3_ext.runs.lock import RunLock
lock = RunLock(Path(sys.argv[1]))
print("held", flush=True)
sys.stdin.read()
"""

# The child lives until its parent closes the second pipe, by ending.
FORK = """
import os, sys
from pathlib import Path
from sb3_ext.file_lock import is_locked
from sb3_ext.runs.lock import RunLock
path = Path(sys.argv[1])
lock = RunLock(path)
(child_reads, parent_writes), (parent_reads, child_writes) = os.pipe(), os.pipe()
if os.fork() == 0:
    os.close(parent_writes)
    os.write(child_writes, b"forked")
    os.read(child_reads, 1)
    os._exit(0)
os.read(parent_reads, 6)
print("locked:", is_locked(path))
lock.release()
print("locked:", is_locked(path))
"""


def test_a_lock_is_seen_until_it_is_released(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    lock = RunLock(path)
    assert is_locked(path) is True

    lock.release()
    lock.release()
    assert is_locked(path) is False


def test_without_a_file_nothing_is_known(tmp_path: Path) -> None:
    assert is_locked(tmp_path / "lock") is None


def test_a_second_owner_is_refused(tmp_path: Path) -> None:
    lock = RunLock(tmp_path / "lock")

    with pytest.raises(BlockingIOError):
        RunLock(tmp_path / "lock")
    lock.release()
    RunLock(tmp_path / "lock").release()


def test_kill_frees_the_lock(tmp_path: Path, start_python: Callable[..., subprocess.Popen[str]]) -> None:
    process = start_python(HOLD, tmp_path / "lock")
    assert process.stdout is not None
    assert process.stdout.readline() == "held\n"
    assert is_locked(tmp_path / "lock") is True

    process.send_signal(signal.SIGKILL)
    process.wait()
    assert is_locked(tmp_path / "lock") is False


def test_a_fork_neither_keeps_nor_frees_the_lock(
    tmp_path: Path, start_python: Callable[..., subprocess.Popen[str]]
) -> None:
    output, _ = start_python(FORK, tmp_path / "lock").communicate()

    assert output == "locked: True\nlocked: False\n"


def test_the_descriptor_is_not_inherited(tmp_path: Path) -> None:
    lock = RunLock(tmp_path / "lock")
    assert lock._descriptor is not None
    assert not os.get_inheritable(lock._descriptor)
    lock.release()


def test_a_lock_on_a_removed_file_does_not_count(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "lock"
    flock = fcntl.flock
    calls: list[int] = []

    def remove_once(descriptor: int, operation: int) -> None:
        calls.append(descriptor)
        flock(descriptor, operation)
        if len(calls) == 1:
            path.unlink()

    monkeypatch.setattr(fcntl, "flock", remove_once)
    lock = RunLock(path)
    monkeypatch.undo()

    assert len(calls) == 2
    assert is_locked(path) is True
    lock.release()


def test_runs_work_on_a_file_system_without_locks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(*arguments: Any) -> None:
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(fcntl, "flock", fail)
    lock = RunLock(tmp_path / "lock")

    assert is_locked(tmp_path / "lock") is None
    assert "has no locks" in caplog.text
    lock.release()
