"""Base class of the checks that train."""

from __future__ import annotations

import importlib.util
import re
import shutil
from pathlib import Path

from sb3_ext.doctor.check import Check, Finding
from sb3_ext.doctor.exercises.program import run_program
from sb3_ext.doctor.exercises.small_tasks import SmallTask
from sb3_ext.errors import ExerciseError
from sb3_ext.runs.run import Run


class Exercise(Check):
    """
    A check that trains a small task.

    :param task: the task
    """

    def __init__(self, task: SmallTask) -> None:
        self.task = task


def train_task(task: SmallTask, directory: Path) -> Run:
    """
    Train a task without interruption, unless an earlier check has done so.

    :param task: the task
    :param directory: directory of the check; the task is trained beside it, for all checks
    :return: the run, to be read only
    :raises ExerciseError: if it fails, or ends at another step
    """
    place = directory.parent / re.sub(r"\W+", "_", task.name)
    if not place.exists():
        place.mkdir()
        try:
            run_program(place, "train", task.write(place), "--run-dir", "run", "--quiet")
            check_completed(Run(place / "run"), task)
        except BaseException:
            shutil.rmtree(place, ignore_errors=True)
            raise
    return Run(place / "run")


def check_completed(run: Run, task: SmallTask) -> None:
    """
    :param run: a run of the task
    :param task: the task
    :raises ExerciseError: if the run has not ended as the task says
    """
    record = run.record
    if record.status != "completed" or record.step != task.total_steps:
        raise ExerciseError(
            f"the training is {record.status} at step {record.step:,} ({record.stop_reason}), expected completed at "
            f"step {task.total_steps:,}"
        )


def skip_without(module: str | None, extra: str | None) -> Finding | None:
    """
    :param module: name of a module; ``None`` for none
    :param extra: the extra that brings it
    :return: why the check is skipped; ``None`` if the module is installed
    """
    if module is None or importlib.util.find_spec(module) is not None:
        return None
    return Finding("SKIPPED", f"needs the extra {extra}", f"pip install 'sb3-ext[{extra}]'")
