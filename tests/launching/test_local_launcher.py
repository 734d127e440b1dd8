"""Tasks on this machine: processes that end with the one that started them."""

from __future__ import annotations

import signal
import time
from pathlib import Path

import psutil
import pytest

from process_commands import read_command
from sb3_ext.errors import LaunchError
from sb3_ext.launching.launcher import Launcher
from sb3_ext.launching.local_launcher import LocalLauncher
from sb3_ext.launching.task import Task, TaskEnd
from sb3_ext.launching.task_pool import TaskPool

SLEEP = "import time; print('ready', flush=True); time.sleep(600)"


def make_task(directory: Path, name: str, code: str, text: str = "") -> Task:
    return Task(name, ("-c", code), directory / f"{name}.log", input=text)


def run_all(pool: TaskPool, timeout_seconds: float = 60) -> dict[str, int | None]:
    ended: dict[str, int | None] = {}
    deadline = time.monotonic() + timeout_seconds
    while not pool.is_done:
        assert time.monotonic() < deadline
        ended.update({end.task.name: end.exit_status for end in pool.check()})
        time.sleep(0.01)
    return ended


def wait_for_output(task: Task) -> None:
    deadline = time.monotonic() + 60
    while not task.read_output(1):
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_tasks_report_how_they_ended_and_what_they_printed(tmp_path: Path) -> None:
    tasks = [
        make_task(tmp_path, "good", "import os; print(os.environ['OMP_NUM_THREADS'], input())", "text\n"),
        make_task(tmp_path, "bad", "raise SystemExit('a mistake')"),
        make_task(tmp_path, "killed", "import os; os.kill(os.getpid(), 9)"),
    ]
    pool = TaskPool(LocalLauncher(tmp_path, jobs=3))
    for task in tasks:
        pool.add(task)

    assert run_all(pool) == {"good": 0, "bad": 1, "killed": -9}
    assert [task.read_output(5)[-1:] for task in tasks] == [["1 text"], ["a mistake"], []]


def test_only_so_many_run_at_a_time(tmp_path: Path) -> None:
    pool = TaskPool(LocalLauncher(tmp_path, jobs=1))
    (tmp_path / "free").touch()
    code = "import os; os.rename('free', 'taken'); os.rename('taken', 'free')"  # fails if two do it at a time
    for index in range(3):
        task = make_task(tmp_path, f"task_{index}", code)
        pool.add(Task(task.name, task.arguments, task.log, directory=tmp_path))

    assert run_all(pool) == {"task_0": 0, "task_1": 0, "task_2": 0}


def test_tasks_that_do_not_end_in_time_are_killed(tmp_path: Path) -> None:
    ignoring = make_task(tmp_path, "first", f"import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); {SLEEP}")
    pool = TaskPool(LocalLauncher(tmp_path, jobs=1))
    pool.add(ignoring)
    pool.add(make_task(tmp_path, "later", SLEEP))
    pool.check()
    wait_for_output(ignoring)
    [process] = [child for child in psutil.Process().children() if "SIG_IGN" in read_command(child)]

    pool.end(timeout_seconds=0.1)

    assert pool.is_done
    assert not process.is_running()
    assert not (tmp_path / "later.log").exists()


def test_a_task_without_its_directory_is_refused(tmp_path: Path) -> None:
    pool = TaskPool(LocalLauncher(tmp_path, jobs=1))
    pool.add(Task("lost", ("-c", ""), tmp_path / "log", directory=tmp_path / "missing"))

    with pytest.raises(LaunchError, match=r"lost cannot be started: .*missing"):
        pool.check()


class FullQueue(Launcher):
    """Accepts one task at a time."""

    def __init__(self, directory: Path) -> None:
        super().__init__(directory, jobs=3)
        self.running: list[Task] = []
        self.started: list[str] = []

    def start(self, task: Task) -> None:
        if self.running:
            raise LaunchError("the queue is full")
        self.running.append(task)
        self.started.append(task.name)

    def find_ended(self) -> list[TaskEnd]:
        ended, self.running = self.running, []
        return [TaskEnd(task, 0) for task in ended]

    def stop(self) -> None: ...

    def kill(self) -> None: ...


def test_a_task_that_is_refused_is_started_when_another_has_ended(tmp_path: Path) -> None:
    launcher = FullQueue(tmp_path)
    pool = TaskPool(launcher)
    for name in ("a", "b", "c"):
        pool.add(make_task(tmp_path, name, ""))

    assert run_all(pool) == {"a": 0, "b": 0, "c": 0}
    assert launcher.started == ["a", "b", "c"]


@pytest.mark.parametrize(
    ("status", "detail", "explanation", "is_interrupted"),
    [
        (0, "", "exit status 0", False),
        (2, "", "exit status 2", False),
        (75, "", "exit status 75", True),
        (130, "cancelled", "exit status 130 (cancelled)", False),
        (-signal.SIGKILL, "", "killed by SIGKILL", True),
        (None, "job 7 ended: NODE_FAIL", "job 7 ended: NODE_FAIL", True),
    ],
)
def test_an_end_from_outside_is_told_from_a_failure(
    tmp_path: Path, status: int | None, detail: str, explanation: str, is_interrupted: bool
) -> None:
    end = TaskEnd(make_task(tmp_path, "a", ""), status, detail)

    assert (end.explanation, end.is_interrupted) == (explanation, is_interrupted)
