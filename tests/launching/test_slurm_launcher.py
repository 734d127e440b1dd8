"""Jobs of Slurm: submitit's own executors, with the programs of ``tests/harness/fake_slurm.py`` as Slurm."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import psutil
import pytest

import fake_slurm
from sb3_ext.errors import LaunchError
from sb3_ext.launching import launcher_registry, slurm_launcher
from sb3_ext.launching.slurm_launcher import SlurmLauncher
from sb3_ext.launching.task import Task, TaskEnd

WaitForEnds = Callable[..., dict[str, TaskEnd]]

# Writes a line at each start; saves and ends with 75 on SIGTERM, ends with 0 at its second start.
RESUMABLE = """
import signal, sys, time
signal.signal(signal.SIGTERM, lambda *_: (print("saved", flush=True), sys.exit(75)))
is_first = not open("starts").read()
open("starts", "a").write("x")
print("started", flush=True)
time.sleep(600 if is_first else 0)
"""


@pytest.fixture
def slurm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The directory of a Slurm with one node."""
    directory = tmp_path / "bin"
    fake_slurm.install(directory, nodes=1)
    monkeypatch.setenv("PATH", f"{directory}:{os.environ['PATH']}")
    monkeypatch.setattr(slurm_launcher, "_LIST_SECONDS", 0.1)
    yield directory
    fake_slurm.shut_down(directory)


def make_task(directory: Path, code: str, name: str = "task") -> Task:
    (directory / "starts").touch()
    return Task(name, ("-c", code), directory / f"{name}.log", directory=directory)


def wait_until(condition: Callable[[], object]) -> None:
    deadline = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def read_state(slurm: Path, job: str) -> str:
    return (slurm / "jobs" / job / "state").read_text()


def find_local_job(directory: Path, name: str = "task") -> psutil.Process:
    """:return: the process of submitit's local executor that watches the job of a task"""
    return psutil.Process(int(json.loads((directory / "slurm" / "jobs.json").read_text())[name]["job"]))


def test_a_job_runs_a_task_with_the_options(slurm: Path, tmp_path: Path, wait_for_ends: WaitForEnds) -> None:
    launcher = SlurmLauncher(
        tmp_path / "my", 2, partition="short", time="90s", cpus=2, memory="2G", sbatch={"exclude": "node7"},
        signal_seconds=30,
    )  # fmt: skip
    launcher.start(make_task(tmp_path, "import os; print(os.environ['OMP_NUM_THREADS']); raise SystemExit(3)"))

    assert wait_for_ends(launcher)["task"].exit_status == 3
    assert (tmp_path / "task.log").read_text() == "2\n"
    lines = (slurm / "jobs" / "1" / "script").read_text().splitlines()
    wanted = ["partition=short", "time=2", "cpus-per-task=2", "mem=2G", "exclude=node7", "signal=USR2@30"]
    wanted += ["requeue", "job-name=my.task"]
    assert [option for option in wanted if f"#SBATCH --{option}" not in lines] == []
    assert (tmp_path / "my" / "slurm").stat().st_mode & 0o077 == 0


def test_a_job_at_its_time_limit_is_queued_again_and_resumes(
    slurm: Path, tmp_path: Path, wait_for_ends: WaitForEnds
) -> None:
    launcher = SlurmLauncher(tmp_path / "my", 1)
    task = make_task(tmp_path, RESUMABLE)
    launcher.start(task)
    wait_until((tmp_path / "starts").read_text)
    subprocess.run(["scancel", "--signal=USR2", "1"], check=True)  # what --signal in the script asks Slurm for

    assert wait_for_ends(launcher)["task"].exit_status == 0
    assert task.read_output(9) == ["started", "saved", "started"]
    launcher.start(make_task(tmp_path, "print('again')"))  # not the job that has ended
    assert wait_for_ends(launcher)["task"].exit_status == 0
    assert task.read_output(1) == ["again"]
    assert (slurm / "jobs" / "1" / "starts").read_text() == "xx"


def test_jobs_are_found_again_by_the_same_command(slurm: Path, tmp_path: Path, wait_for_ends: WaitForEnds) -> None:
    wait_code = "import os, time\nwhile not os.path.exists('go'): time.sleep(0.02)"
    task = make_task(tmp_path, wait_code)
    SlurmLauncher(tmp_path / "my", 1).start(task)  # and this process is killed

    again = SlurmLauncher(tmp_path / "my", 1)
    again.start(task)
    (tmp_path / "go").touch()

    assert wait_for_ends(again)["task"].exit_status == 0
    assert len(list((slurm / "jobs").iterdir())) == 1


def test_a_job_of_another_command_is_replaced(slurm: Path, tmp_path: Path, wait_for_ends: WaitForEnds) -> None:
    SlurmLauncher(tmp_path / "my", 1).start(make_task(tmp_path, RESUMABLE))
    wait_until((tmp_path / "starts").read_text)

    launcher = SlurmLauncher(tmp_path / "my", 1)
    launcher.start(make_task(tmp_path, "print('other')"))

    assert wait_for_ends(launcher)["task"].exit_status == 0
    assert (tmp_path / "task.log").read_text().split() == ["started", "saved", "other"]


def test_stopping_saves_running_jobs_and_removes_waiting_ones(
    slurm: Path, tmp_path: Path, wait_for_ends: WaitForEnds
) -> None:
    launcher = SlurmLauncher(tmp_path / "my", 2)
    launcher.start(make_task(tmp_path, RESUMABLE))
    wait_until((tmp_path / "starts").read_text)
    launcher.start(make_task(tmp_path, "", "waiting"))

    launcher.stop()

    ends = wait_for_ends(launcher, 2)
    assert {name: end.exit_status for name, end in ends.items()} == {"task": 75, "waiting": 130}
    assert ends["waiting"].explanation == "exit status 130 (job 2: CANCELLED)"


def test_killed_jobs_leave_no_process(slurm: Path, tmp_path: Path) -> None:
    launcher = SlurmLauncher(tmp_path / "my", 1)
    launcher.start(make_task(tmp_path, RESUMABLE))
    wait_until((tmp_path / "starts").read_text)
    job = psutil.Process(int((slurm / "jobs" / "1" / "pid").read_text()))
    processes = [job, *job.children()]
    assert len(processes) == 2

    launcher.kill()

    alive = psutil.wait_procs(processes, timeout=60)[1]
    assert alive == []


def test_a_job_that_is_lost_is_interrupted(slurm: Path, tmp_path: Path, wait_for_ends: WaitForEnds) -> None:
    launcher = SlurmLauncher(tmp_path / "my", 1)
    launcher.start(make_task(tmp_path, RESUMABLE))
    wait_until((tmp_path / "starts").read_text)
    (slurm / "broken").touch()  # an unreachable controller ends nothing
    time.sleep(0.5)
    assert launcher.find_ended() == []
    (slurm / "broken").unlink()

    job = psutil.Process(int((slurm / "jobs" / "1" / "pid").read_text()))
    for process in (job, *job.children(recursive=True)):  # the job first: it must not see how its task ends
        with suppress(psutil.NoSuchProcess):  # some end with it
            process.kill()

    end = wait_for_ends(launcher)["task"]
    assert end.is_interrupted
    assert end.explanation == "job 1: FAILED"


def test_what_sbatch_refuses_is_reported_in_its_words(slurm: Path, tmp_path: Path) -> None:
    launcher = SlurmLauncher(tmp_path / "my", 1, partition="missing")

    with pytest.raises(LaunchError, match="sbatch refuses task: sbatch: error: invalid partition specified: missing"):
        launcher.start(make_task(tmp_path, ""))


def test_without_slurm_it_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))

    with pytest.raises(LaunchError, match=r"Slurm's commands are not on this machine \(sbatch, srun"):
        SlurmLauncher(tmp_path, 1)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ([("time", "long")], "--launcher-option time: expected such as 4h, 30m or 90s, found 'long'"),
        ([("time", "60s")], "time: 60s must be longer than signal_seconds, which are 120"),
        ([("partion", "gpu")], "--launcher-option partion: unknown parameter; did you mean 'partition'?"),
        ([("cpus", "0")], "--launcher-option cpus: "),
        ([("jobs", "3")], "--launcher-option jobs: cannot be set here; give --jobs"),
        ([("cluster", "lsf")], "--launcher-option cluster: "),
    ],
)
def test_wrong_options_are_refused(slurm: Path, tmp_path: Path, options: list[tuple[str, str]], message: str) -> None:
    texts = [f"{name}={text}" for name, text in options]
    parsed = launcher_registry.parse_launcher_options(SlurmLauncher, texts)
    with (
        pytest.raises(LaunchError) as caught,
        launcher_registry.opening_launcher(SlurmLauncher, parsed, tmp_path, 1),
    ):
        pass
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_text_options_are_not_read_as_yaml() -> None:
    texts = ["partition=007", "time=4:00", "cpus=2", "setup=[module load cuda]", "sbatch={nice: 5}"]
    parsed = launcher_registry.parse_launcher_options(SlurmLauncher, texts)

    assert parsed == {
        "partition": "007", "time": "4:00", "cpus": 2, "setup": ["module load cuda"], "sbatch": {"nice": 5},
    }  # fmt: skip


def test_submitits_local_executor_queues_a_job_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, wait_for_ends: WaitForEnds
) -> None:
    monkeypatch.setattr(slurm_launcher, "_LIST_SECONDS", 0.1)
    launcher = SlurmLauncher(tmp_path / "my", 1, cluster="local")
    task = make_task(tmp_path, RESUMABLE)
    launcher.start(task)
    wait_until((tmp_path / "starts").read_text)
    [job] = find_local_job(tmp_path / "my").children()
    job.send_signal(signal.SIGUSR2)  # as at the time limit

    assert wait_for_ends(launcher)["task"].exit_status == 0
    assert task.read_output(9) == ["started", "saved", "started"]


@pytest.fixture
def ignored_sigint() -> Iterator[None]:
    """As in what a script starts in the background."""
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("ignored_sigint")
def test_jobs_of_submitits_local_executor_are_stopped_and_killed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, wait_for_ends: WaitForEnds
) -> None:
    monkeypatch.setattr(slurm_launcher, "_LIST_SECONDS", 0.1)
    launcher = SlurmLauncher(tmp_path / "my", 1, cluster="local")
    launcher.start(make_task(tmp_path, RESUMABLE))
    wait_until((tmp_path / "starts").read_text)
    launcher.stop()
    assert wait_for_ends(launcher)["task"].exit_status == 75

    (tmp_path / "starts").write_text("")
    launcher.start(make_task(tmp_path, RESUMABLE))
    wait_until((tmp_path / "starts").read_text)
    job = find_local_job(tmp_path / "my")
    processes = [job, *job.children(recursive=True)]
    assert len(processes) == 3
    launcher.kill()
    alive = psutil.wait_procs(processes, timeout=60)[1]
    assert alive == []
