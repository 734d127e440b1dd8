"""Run tasks with a launcher, some at a time."""

from __future__ import annotations

import logging
import time

from sb3_ext.errors import LaunchError
from sb3_ext.launching.launcher import Launcher
from sb3_ext.launching.task import Task, TaskEnd

logger = logging.getLogger(__name__)

_POLL_SECONDS = 0.05


class TaskPool:
    """
    Run tasks, at most as many at a time as the launcher's ``jobs``.

    :param launcher: starts the tasks
    """

    def __init__(self, launcher: Launcher) -> None:
        self._launcher = launcher
        self._waiting: list[Task] = []
        self._running: dict[str, Task] = {}
        self._is_refused = False

    def add(self, task: Task) -> None:
        """
        Add a task, also one that has ended, to run it again.

        :param task: a task; its name differs from those that run
        """
        self._waiting.append(task)

    @property
    def is_done(self) -> bool:
        """Whether all tasks have ended."""
        return not (self._waiting or self._running)

    def check(self) -> list[TaskEnd]:
        """
        Start tasks where there is room.

        :return: the tasks that have ended since the last call
        :raises LaunchError: if a task is refused while no other runs
        """
        ended = self._launcher.find_ended()
        for end in ended:
            del self._running[end.task.name]
            self._is_refused = False
        while self._waiting and len(self._running) < self._launcher.jobs and not self._is_refused:
            self._start_next()
        return ended

    def stop(self) -> None:
        """Start no more tasks, and ask those that run to save and end."""
        self._waiting.clear()
        self._launcher.stop()

    def end(self, timeout_seconds: float) -> None:
        """
        Stop, wait until all tasks have ended, and kill those that do not end in time.

        :param timeout_seconds: how long to wait
        """
        self.stop()
        deadline = time.monotonic() + timeout_seconds
        while self._running and time.monotonic() < deadline:
            self.check()
            time.sleep(_POLL_SECONDS)
        for name in self._running:
            logger.warning("%s did not end within %.0f seconds and is killed", name, timeout_seconds)
        self.kill()

    def kill(self) -> None:
        """End all tasks at once."""
        self._waiting.clear()
        self._running.clear()
        self._launcher.kill()

    def _start_next(self) -> None:
        task = self._waiting[0]
        try:
            self._launcher.start(task)
        except LaunchError as error:
            if not self._running:
                raise
            # Such as a limit of jobs in the queue: try again when one has ended.
            logger.warning("%s waits until another task has ended: %s", task.name, error)
            self._is_refused = True
        else:
            del self._waiting[0]
            self._running[task.name] = task
