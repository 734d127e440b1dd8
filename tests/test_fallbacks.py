"""What only Linux has is taken away: the package imports, trains, and does the next best thing."""

from __future__ import annotations

import ctypes
import errno
import fcntl
import importlib.util
import logging
import os
import select
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import psutil
import pytest
from stable_baselines3.common.env_util import make_vec_env

from sb3_ext import atomic, cpu_affinity, file_lock_calls, own_signals
from sb3_ext.checkpoints.store.links import point_link
from sb3_ext.engines import freed_memory
from sb3_ext.errors import ConfigError
from sb3_ext.file_lock import acquire_lock, holding_lock, is_locked
from sb3_ext.launching.local_launcher import LocalLauncher
from sb3_ext.runs import lock, stop_request
from sb3_ext.runs.lock import RunLock
from sb3_ext.runs.owner import Owner
from sb3_ext.runs.run import Run
from sb3_ext.runs.session import RunSession
from sb3_ext.runs.signals import Interrupted, SignalWatch
from sb3_ext.runs.stop_request import stop_run
from sb3_ext.vec import WorkerVecEnv, process_lifetime
from sb3_ext.vec.backends.workers import WorkersBackend
from sb3_ext.vec.workers.shared_memory import ArraySpec, SharedBlock
from sb3_ext.vec.workers.worker_split import count_cores

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="takes away what Linux has")

TRAINING = """
import sys
import stable_baselines3, sb3_contrib, psutil, multiprocessing.util, matplotlib.pyplot
import torch.utils.tensorboard
import fcntl, os, resource, select, signal, socket

sys.modules["fcntl"] = None
for module, names in {
    os: "fork register_at_fork sched_getaffinity sched_setaffinity pidfd_open fchmod uname nice memfd_create",
    signal: "pthread_kill pthread_sigmask sigwaitinfo pidfd_send_signal SIGKILL SIGUSR1 SIGHUP",
    socket: "send_fds recv_fds",
    select: "poll",
}.items():
    for name in names.split():
        delattr(module, name)

import importlib, pkgutil
import sb3_ext

optional = ("hub", "mlflow", "wandb", "trackio", "ray", "xla", "jax", "submitit", "slurm", "tuning", "pool_vector")
for found in pkgutil.walk_packages(sb3_ext.__path__, "sb3_ext."):
    if not any(word in found.name for word in optional) and not found.name.endswith("__main__"):
        importlib.import_module(found.name)

config = {
    "seed": 1,
    "env": {"id": "CartPole-v1"},
    "agent": {"id": "ppo", "params": {"n_steps": 32, "policy_kwargs": {"net_arch": [8]}}},
    "train": {"total_steps": 64},
    "eval": {"episodes": 1},
}
run = sb3_ext.train(config, run_dir="run")
assert run.status == "completed", run.record
run = sb3_ext.resume("run", overrides=["train.total_steps=128"])
assert (run.status, run.record.step) == ("completed", 128), run.record
print("trained")
"""


@pytest.mark.slow
def test_a_run_is_trained_and_resumed_where_nothing_of_linux_is_left(tmp_path: Path) -> None:
    result = subprocess.run([sys.executable, "-c", TRAINING], cwd=tmp_path, capture_output=True, text=True)
    assert result.stdout.splitlines()[-1:] == ["trained"], result.stderr


class FakeMsvcrt:
    """Locks one byte of an open file, as Windows does; like there, a lock ends with its descriptor."""

    LK_NBLCK, LK_UNLCK = 2, 0

    def locking(self, descriptor: int, mode: int, size: int) -> None:
        assert (os.lseek(descriptor, 0, os.SEEK_CUR), size) == (2**30, 1)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_UN if mode == self.LK_UNLCK else fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise PermissionError(errno.EACCES, "Permission denied") from None


def take_fcntl_away(monkeypatch: pytest.MonkeyPatch, msvcrt: Any = None) -> None:
    monkeypatch.setattr(file_lock_calls, "_fcntl", None)
    monkeypatch.setattr(file_lock_calls, "_msvcrt", msvcrt)


def test_files_are_locked_as_windows_does(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    take_fcntl_away(monkeypatch, FakeMsvcrt())
    file = tmp_path / "lock"
    held = acquire_lock(file, wait=False)
    assert held is not None
    assert is_locked(file) is True
    assert acquire_lock(file, wait=False) is None
    with pytest.raises(BlockingIOError):
        RunLock(file)
    threading.Timer(0.1, os.close, [held]).start()
    waited = acquire_lock(file)
    assert waited is not None
    os.close(waited)
    assert is_locked(file) is False


def test_a_system_without_locks_is_a_warning(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    take_fcntl_away(monkeypatch)
    with caplog.at_level(logging.WARNING), holding_lock(tmp_path / "other", required=False):
        RunLock(tmp_path / "lock").release()
    assert "two processes can write one run" in caplog.text
    assert is_locked(tmp_path / "lock") is None
    with pytest.raises(OSError, match="this system has no file locks"):
        acquire_lock(tmp_path / "lock")


def load_again(module: ModuleType) -> ModuleType:
    """Execute the file of a module again, as another module."""
    assert module.__file__ is not None
    spec = importlib.util.spec_from_file_location(f"{module.__name__}_again", module.__file__)
    assert spec is not None
    assert spec.loader is not None
    again = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(again)
    return again


def test_modules_are_imported_without_fork_and_fcntl(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(os, "register_at_fork")
    monkeypatch.setitem(sys.modules, "fcntl", None)
    load_again(lock)
    load_again(process_lifetime)
    again = load_again(file_lock_calls)
    assert (again._fcntl, again._msvcrt) == (None, None)


def test_a_process_is_identified_without_uname_and_proc(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    host = os.uname().nodename
    monkeypatch.setattr("sb3_ext.runs.owner._PROC", tmp_path)
    monkeypatch.delattr(os, "uname")
    owner = Owner.current()
    assert owner.host == host
    assert owner.is_alive()


def test_a_run_is_stopped_by_its_file_where_a_signal_would_end_it_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stop_request, "_IS_WINDOWS", True)
    with (
        RunSession.create(tmp_path / "run", config_text="", resolved_config_text="", meta={}) as session,
        SignalWatch() as watch,
    ):
        session.status.write()
        outcome = stop_run(Run(tmp_path / "run"), 0.0)
        assert session.paths.stop.exists()
        assert watch.received is None
        session.finish("stop file")
    assert outcome.was_asked
    assert outcome.note == "Windows would end the process at once, so it got the stop file only"


def test_the_main_thread_is_interrupted_without_signals_to_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(signal, "pthread_kill")

    def wait_for_signal() -> None:
        began = time.monotonic()
        with SignalWatch() as watch, watch.at_once(), watch.interrupting_when(lambda: True):
            while time.monotonic() < began + 60:
                time.sleep(0.01)

    with pytest.raises(Interrupted):
        wait_for_signal()


def test_a_signal_to_this_process_runs_its_handler_on_windows(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(_pid: int, _number: int) -> None:
        raise AssertionError("Windows ends the process")

    monkeypatch.setattr(own_signals, "_IS_WINDOWS", True)
    monkeypatch.setattr(os, "kill", fail)
    with SignalWatch() as watch:
        own_signals.signal_process(signal.SIGTERM)
        assert watch.received == "SIGTERM"


def test_cores_are_counted_and_not_restricted_without_affinity(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cpu_affinity, "_HAS_AFFINITY", False)
    monkeypatch.setattr(os, "cpu_count", lambda: 4)
    monkeypatch.setattr("sb3_ext.vec.workers.worker_split._read_quota_cores", lambda: None)
    assert cpu_affinity.list_cores() == [0, 1, 2, 3]
    assert count_cores() == 4
    assert LocalLauncher(tmp_path, 2)._shares == [[0, 1], [2, 3]]
    before = psutil.Process().cpu_affinity()
    cpu_affinity.restrict_cores(os.getpid(), [0])
    assert psutil.Process().cpu_affinity() == before


def test_files_and_directories_are_replaced_as_on_windows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    opened = []
    monkeypatch.setattr(atomic, "_IS_WINDOWS", True)
    monkeypatch.delattr(os, "fchmod")
    monkeypatch.setattr(atomic.os, "fsync", lambda descriptor: opened.append(os.fstat(descriptor).st_mode))
    (tmp_path / "folder").mkdir()
    with atomic.write_directory(tmp_path / "folder") as hidden:
        atomic.write_text(hidden / "file", "content")
    assert (tmp_path / "folder" / "file").read_text() == "content"
    assert [path.name for path in tmp_path.iterdir()] == ["folder"]
    assert opened
    assert not any(mode & 0o040000 for mode in opened), "Windows cannot flush directories"


@pytest.mark.parametrize(
    "error", [PermissionError(errno.EPERM, "not permitted"), OSError(errno.ENOSYS, ""), OSError(errno.EINVAL, "1314")]
)
def test_checkpoints_have_no_links_where_the_file_system_has_none(
    error: OSError, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(_link: Path, _target: str) -> None:
        raise error

    if error.errno == errno.EINVAL:
        error.winerror = 1314  # type: ignore[attr-defined]
    monkeypatch.setattr(Path, "symlink_to", refuse)
    point_link(tmp_path / "best", "step_1")
    assert list(tmp_path.iterdir()) == []
    error = OSError(errno.ENOSPC, "full")
    with pytest.raises(OSError, match="full"):
        point_link(tmp_path / "best", "step_1")


@pytest.mark.parametrize(("module", "name"), [(socket, "send_fds"), (select, "poll")])
def test_workers_are_refused_where_they_cannot_share_memory(
    module: ModuleType, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delattr(module, name)
    message = "workers cannot share memory on this system: use parallel.mode subproc"
    with pytest.raises(ConfigError, match=message):
        make_vec_env("CartPole-v1", 2, vec_env_cls=WorkerVecEnv)
    with pytest.raises(ConfigError, match=message):
        WorkersBackend(2)
    assert WorkersBackend.list_variants(SimpleNamespace(), 8, 4) == []  # type: ignore[arg-type]


def test_memory_is_shared_without_memfd(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(os, "memfd_create")
    specs = [ArraySpec((3,), np.dtype(np.float32))]
    block = SharedBlock(specs)
    other = SharedBlock(specs, os.dup(block.fileno()))
    block.arrays[0][:] = 1, 2, 3
    assert other.arrays[0].tolist() == [1, 2, 3]
    block.close()
    other.close()


def test_processes_are_started_without_masks_of_signals_and_calls_of_linux(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_arguments: object, **_named: object) -> None:
        raise AssertionError("only Linux has it")

    monkeypatch.delattr(signal, "pthread_sigmask")
    monkeypatch.setattr(ctypes, "CDLL", fail)
    monkeypatch.setattr(process_lifetime, "_IS_LINUX", False)
    monkeypatch.setattr(freed_memory.sys, "platform", "darwin")
    monkeypatch.setattr(process_lifetime.resource_tracker, "ensure_running", fail)
    with process_lifetime.shield_new_processes():
        process_lifetime.request_sigterm_from_parent()
        freed_memory.keep_freed_memory()
    parent = SimpleNamespace(sentinel=0, pid=1, is_alive=lambda: True)
    monkeypatch.setattr(process_lifetime.multiprocessing, "parent_process", lambda: parent)
    before = signal.getsignal(signal.SIGINT)
    try:
        process_lifetime.prepare_worker_process()
        assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGINT, before)
