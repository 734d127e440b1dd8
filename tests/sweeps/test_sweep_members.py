"""Which runs of a sweep are trained further after an interruption."""

from __future__ import annotations

import dataclasses
from pathlib import Path

from sb3_ext.atomic import write_json
from sb3_ext.launching.launcher import Launcher
from sb3_ext.launching.task import Task, TaskEnd
from sb3_ext.runs.status import RunStatus
from sb3_ext.sweeps.sweep import Sweep
from sb3_ext.sweeps.sweep_members import SweepMembers


class ScriptedLauncher(Launcher):
    """Ends each task at once, with the next exit status of a list."""

    def __init__(self, sweep: Sweep, statuses: list[int | None], checkpoints: list[str]) -> None:
        super().__init__(sweep.directory, jobs=1)
        self.sweep = sweep
        self.statuses = statuses
        self.checkpoints = checkpoints
        self.running: list[Task] = []

    def start(self, task: Task) -> None:
        self.running.append(task)
        if self.checkpoints:
            directory = self.sweep.get_directory(0)
            directory.mkdir(exist_ok=True)
            (directory / "meta.json").write_text("{}")
            status = dataclasses.replace(RunStatus.begin(), last_checkpoint=self.checkpoints.pop(0))
            write_json(directory / "status.json", status.to_json())

    def find_ended(self) -> list[TaskEnd]:
        ended, self.running = self.running, []
        return [TaskEnd(task, self.statuses.pop(0)) for task in ended]

    def stop(self) -> None: ...

    def kill(self) -> None: ...


def train(directory: Path, statuses: list[int | None], checkpoints: list[str]) -> list[tuple[int | None, bool]]:
    """:return: exit status of each process, and whether the run was resumed"""
    sweep = Sweep(directory / "sweep", [0])
    members = SweepMembers(sweep, [0], ScriptedLauncher(sweep, statuses, checkpoints), [])
    ends = []
    while not members.is_done:
        ends += [(member.end.exit_status, member.is_resumed) for member in members.check()]
    sweep.close()
    return ends


def test_an_interrupted_run_is_resumed_and_a_failed_one_is_not(tmp_path: Path) -> None:
    assert train(tmp_path, [-9, 0], []) == [(-9, True), (0, False)]
    assert train(tmp_path, [75, None, 1], []) == [(75, True), (None, True), (1, False)]


def test_a_run_that_is_killed_at_the_same_checkpoint_again_and_again_is_given_up(tmp_path: Path) -> None:
    assert train(tmp_path, [-9, -9, -9], ["a", "a", "a"]) == [(-9, True), (-9, True), (-9, False)]


def test_progress_between_interruptions_counts(tmp_path: Path) -> None:
    ends = train(tmp_path, [75, 75, 75, 75, 0], ["a", "a", "b", "b", "c"])

    assert ends == [(75, True)] * 4 + [(0, False)]


def test_a_run_that_is_asked_to_stop_is_not_resumed(tmp_path: Path) -> None:
    sweep = Sweep(tmp_path / "sweep", [0])
    members = SweepMembers(sweep, [0], ScriptedLauncher(sweep, [75], []), [])
    members.check()
    members.stop()

    assert [member.is_resumed for member in members.check()] == [False]
    assert members.is_done
    sweep.close()
