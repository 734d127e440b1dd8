"""The process of a task on this machine."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress

from sb3_ext.cpu_affinity import restrict_cores
from sb3_ext.launching.task import Task


class TaskProcess:
    """
    A running task.

    It is a session of its own, so that Ctrl+C in a terminal reaches only the process that started it. A task saves and
    ends when its standard input ends, that is, when the process that started it ends in any way: see
    :mod:`sb3_ext.launching.parent_watch`.

    :param task: the task
    :param cores: the only cores that it may use; ``None`` for all
    :param environment: environment variables that differ from those of this process
    :raises OSError: if the process cannot be started
    """

    def __init__(
        self, task: Task, *, cores: Sequence[int] | None = None, environment: Mapping[str, str] | None = None
    ) -> None:
        self.task = task
        task.log.parent.mkdir(parents=True, exist_ok=True)
        with task.log.open("ab") as log:
            self._process = subprocess.Popen(
                [sys.executable, *task.arguments],
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=log,
                cwd=task.directory,
                env={**os.environ, **(environment or {})},
                start_new_session=True,
            )
        if cores is not None:
            restrict_cores(self._process.pid, cores)
        assert self._process.stdin is not None
        with suppress(BrokenPipeError):  # it has ended already, which poll() reports
            self._process.stdin.write(task.input.encode())
            self._process.stdin.flush()

    def poll(self) -> int | None:
        """:return: exit status, negative for the signal that killed the process; ``None`` while it is running"""
        status = self._process.poll()
        if status is not None:
            self._close()
        return status

    def terminate(self) -> None:
        """Ask the process to save and end."""
        self._process.terminate()

    def end(self, timeout_seconds: float) -> int:
        """
        Ask the process to save and end, and wait.

        :param timeout_seconds: after that it is killed
        :return: its exit status
        """
        self.terminate()
        try:
            self._process.wait(timeout_seconds)
        except subprocess.TimeoutExpired:
            self._process.kill()
        status = self._process.wait()
        self._close()
        return status

    def _close(self) -> None:
        assert self._process.stdin is not None
        with suppress(BrokenPipeError):
            self._process.stdin.close()
