"""How the worker processes of a study end."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from sb3_ext.errors import DiskError
from sb3_ext.launching.launcher import Launcher
from sb3_ext.launching.task import Task, TaskEnd
from sb3_ext.tuning.plan import TuningPlan
from sb3_ext.tuning.study_workers import StudyWorkers


class EndingLauncher(Launcher):
    """Each task ends at once, as a worker does whose disk is full."""

    def start(self, task: Task) -> None:
        task.log.parent.mkdir(parents=True, exist_ok=True)
        task.log.write_text("trial 0 is trained\ntrial_0000: No space left on device\n")
        self.started = [task]

    def find_ended(self) -> list[TaskEnd]:
        started, self.started = getattr(self, "started", []), []
        return [TaskEnd(task, 2) for task in started]

    def stop(self) -> None:
        pass

    def kill(self) -> None:
        pass


def test_a_worker_whose_disk_is_full_is_not_replaced(make_plan_here: Callable[..., TuningPlan]) -> None:
    plan = make_plan_here()
    workers = StudyWorkers(plan, EndingLauncher(plan.directory, 1))
    assert workers.check()
    with pytest.raises(DiskError) as caught:
        workers.check()
    assert str(caught.value) == (
        "worker 1: trial_0000: No space left on device; once that is mended, the same command continues the study"
    )
