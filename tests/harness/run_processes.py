"""Runs in processes of their own, to be killed and signalled."""

from __future__ import annotations

import importlib
import multiprocessing
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from types import TracebackType
from typing import TextIO

import psutil

from sb3_ext.cli import main
from sb3_ext.runs.run import Run

# What training imports, some of it late.
_IMPORTED_BEFORE_A_FORK = ("sb3_ext.training", "sb3_ext.reports.curves")
_POLL_SECONDS = 0.001
_WAIT_SECONDS = 300.0
_GONE_SECONDS = 20.0


class RunProcess:
    """
    One process that begins a run, or carries it on: the same command every time. It has a session of its own, so that
    whatever it leaves behind is found; the ``with`` block ends that.

    :param config: a YAML file
    :param directory: the run directory
    :param arguments: further ones of the command
    :param is_forked: fork it from this process, which has imported nearly everything, instead of starting a new Python
    """

    def __init__(
        self, config: Path, directory: Path, arguments: Sequence[str] = (), *, is_forked: bool = False
    ) -> None:
        self.directory = directory
        self.config = config
        self._arguments = arguments
        self._is_forked = is_forked
        self._output = tempfile.TemporaryFile("w+")  # noqa: SIM115 - closed with the process

    def __enter__(self) -> RunProcess:
        arguments = ["train", str(self.config), "--run-dir", str(self.directory), "--resume", "--quiet"]
        arguments += self._arguments
        self._process = (_Fork if self._is_forked else _start_python)(arguments, self._output)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        for process in self.list_processes():
            process.kill()
        self._process.wait()
        self._output.close()

    @property
    def pid(self) -> int:
        """Of the process, its group and its session."""
        return self._process.pid

    def is_alive(self) -> bool:
        """Whether the process has not ended."""
        return self._process.poll() is None

    def send(self, number: signal.Signals, *, to_group: bool = False) -> None:
        """
        :param number: the signal
        :param to_group: to the whole process group, as Ctrl+C in a terminal does
        """
        if to_group:
            os.killpg(self.pid, number)
        else:
            self._process.send_signal(number)

    def wait(self, timeout_seconds: float = _WAIT_SECONDS) -> int:
        """
        :param timeout_seconds: after this it counts as hanging
        :return: the exit status, of the form of :class:`subprocess.Popen`
        :raises subprocess.TimeoutExpired: if it hangs
        """
        return self._process.wait(timeout_seconds)

    def wait_until(self, condition: Callable[[], bool]) -> bool:
        """
        :param condition: looked at again and again
        :return: whether it became true before the process ended
        :raises TimeoutError: if neither happens
        """
        deadline = time.monotonic() + _WAIT_SECONDS
        while not condition():
            if not self.is_alive():
                return False
            if time.monotonic() > deadline:
                raise TimeoutError(f"waited for {_WAIT_SECONDS:.0f} s in vain: {self.read_output()}")
            time.sleep(_POLL_SECONDS)
        return True

    def list_processes(self) -> list[psutil.Process]:
        """:return: what lives of the session"""
        return [process for process in psutil.process_iter() if _is_alive_in(process, self.pid)]

    def list_orphans(self) -> list[str]:
        """:return: what is left of the session some time after the process has ended"""
        deadline = time.monotonic() + _GONE_SECONDS
        while (left := self.list_processes()) and time.monotonic() < deadline:
            time.sleep(0.05)
        return [f"process {process.pid} is left" for process in left]

    def read_output(self) -> str:
        """:return: what it has printed"""
        self._output.seek(0)
        return self._output.read()


def train_to_the_end(
    config: Path, directory: Path, arguments: Sequence[str] = (), *, is_forked: bool = False
) -> list[str]:
    """
    :param config: a YAML file
    :param directory: of a run, new or to be carried on
    :param arguments: further ones of the command
    :param is_forked: as for :class:`RunProcess`
    :return: what is wrong
    """
    with RunProcess(config, directory, arguments, is_forked=is_forked) as process:
        exit_status = process.wait()
        if exit_status != 0:
            return [f"exit status {exit_status}: {process.read_output()}"]
        problems = process.list_orphans()
    hidden = [path.name for path in directory.rglob(".*")]
    status = Run(directory).status
    return problems + [f"{name} is left" for name in hidden] + ([status] if status != "completed" else [])


def import_before_fork() -> None:
    """Import what training imports, so that forked processes need not."""
    for name in _IMPORTED_BEFORE_A_FORK:
        importlib.import_module(name)


def _start_python(arguments: list[str], output: TextIO) -> subprocess.Popen[bytes]:
    # What a configuration names may lie beside these scripts.
    paths = [str(Path(__file__).parent), os.environ.get("PYTHONPATH", "")]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, paths))}
    command = [sys.executable, "-m", "sb3_ext", *arguments]
    return subprocess.Popen(command, stdout=output, stderr=output, env=environment, start_new_session=True)


class _Fork:
    """As much of :class:`subprocess.Popen` as is used here. Nothing computes in this process, so it has no threads."""

    def __init__(self, arguments: list[str], output: TextIO) -> None:
        import_before_fork()
        context = multiprocessing.get_context("fork")
        self._process = context.Process(target=_run_command, args=(arguments, output.fileno()))
        self._process.start()
        assert self._process.pid is not None
        self.pid = self._process.pid

    def poll(self) -> int | None:
        return self._process.exitcode

    def wait(self, timeout: float | None = None) -> int:
        self._process.join(timeout)
        code = self._process.exitcode
        if code is None:
            raise subprocess.TimeoutExpired("train", timeout or 0.0)
        return code

    def send_signal(self, number: int) -> None:
        if self.poll() is None:
            os.kill(self.pid, number)


def _run_command(arguments: list[str], output: int) -> None:
    os.setsid()
    for stream in (sys.stdout, sys.stderr):
        os.dup2(output, stream.fileno())
    sys.argv[1:] = arguments
    main()


def _is_alive_in(process: psutil.Process, session: int) -> bool:
    try:
        return os.getsid(process.pid) == session and process.status() != psutil.STATUS_ZOMBIE
    except (ProcessLookupError, psutil.NoSuchProcess):
        return False
