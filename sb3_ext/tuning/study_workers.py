"""The worker processes of a study: started, replaced when they die, and ended."""

from __future__ import annotations

import json
import logging
import sys
from collections import Counter
from pathlib import Path

from sb3_ext.errors import DiskError, TuningError
from sb3_ext.launching.launcher import Launcher
from sb3_ext.launching.task import EXIT_CANCELLED, EXIT_INTERRUPTED, Task, TaskEnd
from sb3_ext.launching.task_pool import TaskPool
from sb3_ext.tuning.plan import TuningPlan
from sb3_ext.tuning.worker import EXIT_DISK_ERROR

logger = logging.getLogger(__name__)

_MAX_CRASHES = 3
_LOG_LINES = 5


class StudyWorkers:
    """
    Run workers until each has found the study complete.

    :param plan: plan of the study
    :param launcher: starts as many workers as it has ``jobs``
    """

    def __init__(self, plan: TuningPlan, launcher: Launcher) -> None:
        self._pool = TaskPool(launcher)
        self._crashes: Counter[str] = Counter()
        order = json.dumps({"plan": plan.to_json(), "sys_path": sys.path}) + "\n"
        for number in range(1, launcher.jobs + 1):
            self._pool.add(_make_task(number, order, plan.directory.absolute() / "logs"))

    def check(self) -> bool:
        """
        Start the workers, and replace those that have died.

        :return: whether any is left
        :raises TuningError: if one fails again and again
        :raises DiskError: if one cannot write its files
        :raises LaunchError: if the launcher refuses all of them
        """
        for end in self._pool.check():
            if end.exit_status == EXIT_CANCELLED:
                logger.warning("%s was cancelled (%s)", _name(end.task), end.detail)
            elif end.exit_status != 0:
                self._note_end(end)
                self._pool.add(end.task)
        return not self._pool.is_done

    def end(self, timeout_seconds: float) -> None:
        """
        Ask all workers to save and end, and wait.

        :param timeout_seconds: after that they are killed; their trials continue from the last checkpoint next time
        """
        self._pool.end(timeout_seconds)

    def _note_end(self, end: TaskEnd) -> None:
        name = _name(end.task)
        if end.is_interrupted:
            if end.exit_status != EXIT_INTERRUPTED:
                logger.warning("%s was lost (%s); a new one replaces it", name, end.explanation)
            return
        lines = end.task.read_output(_LOG_LINES)
        if end.exit_status == EXIT_DISK_ERROR and lines:
            raise DiskError(f"{name}: {lines[-1]}; once that is mended, the same command continues the study")
        self._crashes[name] += 1
        if self._crashes[name] >= _MAX_CRASHES:
            text = "\n".join(lines)
            raise TuningError(f"{name} has failed {_MAX_CRASHES} times; see {end.task.log}, which ends:\n{text}")
        logger.warning("%s failed (%s); a new one replaces it", name, lines[-1] if lines else end.explanation)


def _name(task: Task) -> str:
    return task.name.replace("_", " ")


def _make_task(number: int, order: str, logs: Path) -> Task:
    return Task(f"worker_{number}", ("-m", "sb3_ext.tuning.worker"), logs / f"worker_{number}.log", input=order)
