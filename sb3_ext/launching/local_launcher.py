"""Tasks as processes on this machine."""

from __future__ import annotations

from pathlib import Path

from sb3_ext.cpu_affinity import list_cores
from sb3_ext.errors import LaunchError
from sb3_ext.launching.core_shares import limit_threads, share_cores
from sb3_ext.launching.launcher import Launcher
from sb3_ext.launching.task import Task, TaskEnd
from sb3_ext.launching.task_process import TaskProcess


class LocalLauncher(Launcher):
    """
    Runs tasks as processes on this machine, each on its share of the cores and with as many threads.

    :param directory: see :class:`Launcher`
    :param jobs: most tasks at a time
    """

    def __init__(self, directory: Path, jobs: int) -> None:
        super().__init__(directory, jobs)
        self._shares = share_cores(jobs, list_cores())
        self._running: dict[int, TaskProcess] = {}

    def start(self, task: Task) -> None:
        slot = next(slot for slot in range(self.jobs) if slot not in self._running)
        cores = self._shares[slot]
        try:
            self._running[slot] = TaskProcess(task, cores=cores, environment=limit_threads(cores))
        except OSError as error:
            raise LaunchError(f"{task.name} cannot be started: {error}") from error

    def find_ended(self) -> list[TaskEnd]:
        ended = []
        for slot, process in list(self._running.items()):
            status = process.poll()
            if status is not None:
                del self._running[slot]
                ended.append(TaskEnd(process.task, status))
        return ended

    def stop(self) -> None:
        for process in self._running.values():
            process.terminate()

    def kill(self) -> None:
        for process in self._running.values():
            process.end(timeout_seconds=0)
        self._running.clear()
