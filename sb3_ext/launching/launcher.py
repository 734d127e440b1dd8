"""The interface of all launchers."""

from __future__ import annotations

from abc import ABC, abstractmethod
from pathlib import Path
from typing import ClassVar

from sb3_ext.launching.task import Task, TaskEnd


class Launcher(ABC):
    """
    Base class of what starts tasks: on this machine, in a queue of a cluster.

    A subclass in your own package is ``--launcher my_package:MyLauncher``. Its other keyword arguments are the options
    that ``--launcher-option`` sets; they are checked against the signature. The constructor raises an
    :class:`~sb3_ext.errors.Sb3ExtError` if the place cannot be used, and creates nothing in ``directory``.

    :param directory: directory of the command, for files of the launcher; tasks write below it
    :param jobs: most tasks at a time
    """

    is_distributed: ClassVar[bool] = False
    """Whether tasks may run on other machines, which share the files of this one."""

    def __init__(self, directory: Path, jobs: int) -> None:
        self.directory = directory
        self.jobs = jobs

    @abstractmethod
    def start(self, task: Task) -> None:
        """
        Start a task, or put it into the queue. At most :attr:`jobs` tasks are started and have not ended.

        :param task: the task
        :raises LaunchError: if it is refused
        """

    @abstractmethod
    def find_ended(self) -> list[TaskEnd]:
        """:return: the tasks that have ended since the last call; without waiting"""

    @abstractmethod
    def stop(self) -> None:
        """Remove tasks that wait in a queue, and ask those that run to save and end. Both are found as ended later."""

    @abstractmethod
    def kill(self) -> None:
        """End all tasks at once, and forget them."""

    def close(self) -> None:  # noqa: B027 (most have nothing to release)
        """Release what the constructor has opened."""
