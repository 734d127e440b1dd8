"""What a job of the launcher ``slurm`` runs: one task, which is saved before the job is queued again."""

from __future__ import annotations

import os
import signal
import time
from types import FrameType

from submitit.core.utils import DelayedSubmission

from sb3_ext.launching.core_shares import limit_threads
from sb3_ext.launching.task import Task
from sb3_ext.launching.task_process import TaskProcess

_POLL_SECONDS = 0.1
_CANCEL_SECONDS = 300.0  # Slurm kills a cancelled or pre-empted job within its KillWait or GraceTime


class TaskJob:
    """
    Run a task in a job, and return its exit status.

    Submitit calls :meth:`checkpoint` when the job reaches its time limit or is pre-empted, and queues the job again.
    SIGTERM, which Slurm sends before it ends a cancelled or pre-empted job, and SIGINT make the task save and end.

    :param task: the task
    :param cpus: number of CPUs of the job
    :param save_seconds: how long the task may take to save
    """

    def __init__(self, task: Task, cpus: int, save_seconds: float) -> None:
        self._task = task
        self._cpus = cpus
        self._save_seconds = save_seconds
        self._process: TaskProcess | None = None

    def __call__(self) -> int:
        """:return: exit status of the task"""
        signal.signal(signal.SIGTERM, self._handle_sigterm)
        signal.signal(signal.SIGINT, signal.default_int_handler)  # shells ignore it in background processes
        self._process = TaskProcess(self._task, environment=limit_threads(range(self._cpus)))
        try:
            while (status := self._process.poll()) is None:
                time.sleep(_POLL_SECONDS)
        except KeyboardInterrupt:
            status = self._process.end(self._save_seconds)
        return status

    def checkpoint(self) -> DelayedSubmission:
        """:return: what the job runs when it starts again: the same task, which resumes"""
        if self._process is not None:
            self._process.end(self._save_seconds)
        return DelayedSubmission(TaskJob(self._task, self._cpus, self._save_seconds))

    def _handle_sigterm(self, number: int, frame: FrameType | None) -> None:
        assert self._process is not None
        self._process.end(self._save_seconds)
        if os.environ.get("SUBMITIT_EXECUTOR") == "slurm":
            # A job that ends by itself is not queued again when it is pre-empted, so let Slurm end it.
            time.sleep(_CANCEL_SECONDS)
