"""
A Slurm of one machine, for tests: ``sbatch``, ``srun``, ``squeue``, ``scancel`` and ``scontrol``.

:func:`install` writes the commands into a directory, which belongs into ``PATH``. Jobs run as processes of this
machine, as many at a time as there are nodes; the others are pending. The state is in ``jobs`` beside the commands.
Time does not pass here: a test sends the signal of a time limit itself, with ``scancel --signal=USR2``.
"""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from sb3_ext.file_lock import holding_lock

COMMANDS = ("sbatch", "srun", "squeue", "scancel", "scontrol")
_KILL_WAIT_SECONDS = 5.0
_POLL_SECONDS = 0.02


def install(directory: Path, *, nodes: int = 1) -> None:
    """
    Write the commands.

    :param directory: a new directory
    :param nodes: number of jobs that run at a time
    """
    (directory / "jobs").mkdir(parents=True)
    (directory / "nodes").write_text(str(nodes))
    for name in COMMANDS:
        path = directory / name
        path.write_text(f'#!/bin/sh\nexec "{sys.executable}" "{__file__}" {name} "$@"\n')
        path.chmod(0o755)


def shut_down(directory: Path) -> None:
    """
    End the processes of all jobs.

    :param directory: the directory of :func:`install`
    """
    for job in (directory / "jobs").iterdir():
        for name in ("daemon", "pid"):
            with suppress(OSError, ValueError):
                os.kill(int((job / name).read_text()), signal.SIGKILL)


class Job:
    """
    A job: ``state``, ``pid`` of its task, and ``script``.

    :param job_id: its number
    """

    root = Path()

    def __init__(self, job_id: str) -> None:
        self.job_id = job_id
        self.directory = self.root / "jobs" / job_id

    def read(self, name: str) -> str:
        path = self.directory / name
        return path.read_text() if path.exists() else ""

    def write(self, name: str, text: str) -> None:
        temporary = self.directory / f".{name}"
        temporary.write_text(text)
        temporary.replace(self.directory / name)

    def send(self, number: int) -> None:
        with suppress(ProcessLookupError, ValueError):
            os.kill(int(self.read("pid")), number)

    def find_option(self, name: str, default: str) -> str:
        match = re.search(rf"^#SBATCH --{name}=(.*)$", self.read("script"), re.MULTILINE)
        return default if match is None else match[1].strip("'\"")


def sbatch(arguments: list[str]) -> int:
    script, *given = arguments
    with _changing():
        number = 1 + len(list((Job.root / "jobs").iterdir()))
        job = Job(str(number))
        job.directory.mkdir()
        job.write("script", Path(script).read_text())
        job.write("arguments", "\n".join(given))
        job.write("state", "PENDING")
    if job.find_option("partition", "") == "missing":
        job.write("state", "FAILED")
        print("sbatch: error: invalid partition specified: missing", file=sys.stderr)
        print("sbatch: error: Batch job submission failed: Invalid partition name specified", file=sys.stderr)
        return 1
    command = [sys.executable, __file__, "run", job.job_id]
    null = subprocess.DEVNULL  # the caller reads until the end of its pipes
    daemon = subprocess.Popen(command, stdin=null, stdout=null, stderr=null, start_new_session=True)
    job.write("daemon", str(daemon.pid))
    print(f"Submitted batch job {number}")
    return 0


def run(arguments: list[str]) -> int:
    """The daemon of a job, which runs it, also again after a requeue."""
    job = Job(arguments[0])
    while _begin(job):
        output = job.find_option("output", "/dev/null").replace("%j", job.job_id)
        Path(output).parent.mkdir(parents=True, exist_ok=True)
        environment = {**os.environ, "SLURM_JOB_ID": job.job_id, "SLURM_NTASKS": "1", "SLURM_PROCID": "0"}
        with open(output, "ab") as log:
            command = ["bash", str(job.directory / "script"), *job.read("arguments").splitlines()]
            process = subprocess.Popen(command, env=environment, stdout=log, stderr=log)
        while process.poll() is None:
            if job.read("kill"):
                job.send(signal.SIGKILL)
            time.sleep(_POLL_SECONDS)
        _end(job, process.returncode)
    return 0


def srun(arguments: list[str]) -> int:
    job = Job(os.environ["SLURM_JOB_ID"])
    while arguments and arguments[0].startswith("--"):
        option = arguments.pop(0)
        if option in ("--output", "--error"):
            path = arguments.pop(0).replace("%j", job.job_id).replace("%t", "0")
            descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o666)
            for target in (1, 2):
                os.dup2(descriptor, target)
    job.write("pid", str(os.getpid()))
    os.execvp(arguments[0], arguments)


def squeue(arguments: list[str]) -> int:
    assert "--format=%i|%T" in arguments
    if (Job.root / "broken").exists():
        print("slurm_load_jobs error: Unable to contact slurm controller", file=sys.stderr)
        return 1
    for directory in sorted((Job.root / "jobs").iterdir()):
        print(f"{directory.name}|{Job(directory.name).read('state')}")
    return 0


def scancel(arguments: list[str]) -> int:
    options = dict(argument[2:].split("=", 1) for argument in arguments if argument.startswith("--"))
    for job in [Job(argument) for argument in arguments if not argument.startswith("--")]:
        with _changing():
            state = job.read("state")
            if options.get("state", state) != state or state not in ("PENDING", "RUNNING"):
                continue
            if "signal" not in options:
                job.write("state", "CANCELLED")
        if state == "RUNNING":
            job.send(getattr(signal, f"SIG{options.get('signal', 'TERM')}"))
            if "signal" not in options:
                subprocess.Popen(["sh", "-c", f"sleep {_KILL_WAIT_SECONDS}; echo 1 > {job.directory}/kill"])
    return 0


def scontrol(arguments: list[str]) -> int:
    assert arguments[0] == "requeue"
    Job(arguments[1]).write("requeue", "1")
    return 0


def _begin(job: Job) -> bool:
    """Wait for a node. :return: whether the job is to run"""
    while True:
        with _changing():
            if job.read("state") != "PENDING":
                return False
            states = [Job(directory.name).read("state") for directory in (Job.root / "jobs").iterdir()]
            if states.count("RUNNING") < int((Job.root / "nodes").read_text()):
                job.write("state", "RUNNING")
                job.write("starts", f"{job.read('starts')}x")
                return True
        time.sleep(_POLL_SECONDS)


def _end(job: Job, status: int) -> None:
    with _changing():
        if job.read("state") == "CANCELLED":
            return
        if job.read("requeue"):
            (job.directory / "requeue").unlink()
            job.write("state", "PENDING")
        else:
            job.write("state", "COMPLETED" if status == 0 else "FAILED")


@contextmanager
def _changing() -> Iterator[None]:
    with holding_lock(Job.root / "lock"):
        yield


if __name__ == "__main__":
    name, *given = sys.argv[1:]
    command_path = next(Path(folder) for folder in os.environ["PATH"].split(":") if (Path(folder) / "sbatch").exists())
    Job.root = command_path
    programs: dict[str, Callable[[list[str]], int]] = {
        **{"sbatch": sbatch, "srun": srun, "squeue": squeue, "scancel": scancel, "scontrol": scontrol, "run": run}
    }
    sys.exit(programs[name](given))
