"""Tasks as jobs of Slurm, through submitit."""

from __future__ import annotations

import json
import logging
import math
import pickle
import shutil
import time
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from sb3_ext.atomic import write_json
from sb3_ext.config.fields import parse_duration
from sb3_ext.errors import LaunchError, MissingExtraError
from sb3_ext.launching.job_list import JobList, ProcessList, SlurmJobList, is_active
from sb3_ext.launching.launcher import Launcher
from sb3_ext.launching.task import EXIT_CANCELLED, Task, TaskEnd
from sb3_ext.ranges import PositiveInt

if TYPE_CHECKING:
    import submitit

logger = logging.getLogger(__name__)

_COMMANDS = ("sbatch", "srun", "squeue", "scancel", "scontrol")
_LIST_SECONDS = 10.0
_MAX_REQUEUES = 100_000


class SlurmLauncher(Launcher):
    """
    Runs each task as a job of Slurm.

    A job that reaches its time limit, or is pre-empted, saves and is queued again. Jobs do not end with the process
    that has submitted them: the same command finds them again.

    :param directory: see :class:`Launcher`; all machines need to see it under the same path
    :param jobs: most jobs at a time, waiting ones included
    :param partition: partition
    :param time: time limit of a job, such as ``4h`` or ``30m``; a task that takes longer continues in the next job
    :param cpus: CPUs of a job
    :param gpus: GPUs of a job; ``None`` requests none
    :param memory: memory of a job, such as ``16G``; ``None`` for the partition's default
    :param account: account that is charged
    :param qos: quality of service
    :param constraint: required features of the node
    :param signal_seconds: how long before the time limit a task is asked to save
    :param setup: shell commands before the task, such as ``[module load cuda]``
    :param sbatch: further options of ``sbatch``, such as ``{exclude: node7}``
    :param cluster: ``local`` runs the jobs as processes on this machine with submitit's local executor, to try things
    :raises MissingExtraError: if submitit is not installed
    :raises LaunchError: if Slurm's commands are missing, or the options are not possible
    """

    is_distributed = True

    def __init__(
        self,
        directory: Path,
        jobs: int,
        *,
        partition: str | None = None,
        time: str = "4h",
        cpus: PositiveInt = 1,
        gpus: PositiveInt | None = None,
        memory: str | None = None,
        account: str | None = None,
        qos: str | None = None,
        constraint: str | None = None,
        signal_seconds: PositiveInt = 120,
        setup: list[str] | None = None,
        sbatch: dict[str, Any] | None = None,
        cluster: Literal["slurm", "local"] = "slurm",
    ) -> None:
        super().__init__(directory, jobs)
        if find_spec("submitit") is None:
            raise MissingExtraError("--launcher slurm", "slurm")
        missing = [name for name in _COMMANDS if shutil.which(name) is None]
        if cluster == "slurm" and missing:
            raise LaunchError(
                f"--launcher slurm: Slurm's commands are not on this machine ({', '.join(missing)}); run this on a "
                "login node, or without --launcher"
            )
        seconds = _parse_time(time)
        if seconds <= signal_seconds:
            raise LaunchError(
                f"--launcher-option time: {time} must be longer than signal_seconds, which are {signal_seconds}"
            )
        self._folder = directory / "slurm"
        self._cluster = cluster
        self._cpus = cpus
        self._signal_seconds = signal_seconds
        self._parameters: dict[str, Any] = {"stderr_to_stdout": True, "signal_delay_s": signal_seconds}
        if cluster == "slurm":
            self._parameters |= {
                "time": math.ceil(seconds / 60),
                "partition": partition,
                "cpus_per_task": cpus,
                "gpus_per_node": gpus,
                "mem": memory,
                "account": account,
                "qos": qos,
                "constraint": constraint,
                "setup": setup,
                "additional_parameters": {"requeue": True, **(sbatch or {})},
            }
        else:
            self._parameters |= {"timeout_min": seconds / 60, "gpus_per_node": gpus or 0, "setup": setup or ()}
        self._list: JobList = SlurmJobList() if cluster == "slurm" else ProcessList()
        self._running: dict[str, tuple[Task, submitit.Job[int]]] = {}
        self._unlisted: set[str] = set()
        self._next_listing_at = 0.0

    def start(self, task: Task) -> None:
        job = self._find_earlier(task) or self._submit(task)
        self._running[job.job_id] = task, job
        self._note(task, job.job_id)

    def find_ended(self) -> list[TaskEnd]:
        ended = {job_id: end for job_id in self._running if (end := self._read_end(job_id)) is not None}
        if time.monotonic() >= self._next_listing_at and len(ended) < len(self._running):
            self._next_listing_at = time.monotonic() + _LIST_SECONDS
            ended |= self._find_lost(set(self._running) - set(ended))
        for job_id in ended:
            del self._running[job_id]
        return list(ended.values())

    def stop(self) -> None:
        if self._running:
            self._list.interrupt(self._running)
        self._next_listing_at = 0.0

    def kill(self) -> None:
        if self._running:
            self._list.cancel(self._running)
        if self._cluster == "local":
            for _, job in self._running.values():
                job.wait()
        self._running.clear()

    def _submit(self, task: Task) -> submitit.Job[int]:
        import submitit
        from submitit.core.utils import FailedJobError, FailedSubmissionError

        from sb3_ext.launching.submitit_job import TaskJob

        self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)  # a task may have a password
        executor: submitit.SlurmExecutor | submitit.LocalExecutor
        if self._cluster == "slurm":
            executor = submitit.SlurmExecutor(self._folder / "%j", max_num_timeout=_MAX_REQUEUES)
            executor.update_parameters(job_name=f"{self.directory.name}.{task.name}", **self._parameters)
        else:
            executor = submitit.LocalExecutor(self._folder / "%j", max_num_timeout=_MAX_REQUEUES)
            executor.update_parameters(**self._parameters)
        try:
            with submitit.helpers.clean_env():  # this process may be part of a job itself
                return executor.submit(TaskJob(task, self._cpus, max(1.0, self._signal_seconds * 0.75)))
        except (FailedJobError, FailedSubmissionError, OSError) as error:
            raise LaunchError(f"--launcher slurm: sbatch refuses {task.name}: {_find_cause(error)}") from error

    def _find_earlier(self, task: Task) -> submitit.Job[int] | None:
        """
        Find the job that an earlier command has submitted for a task. One that does something else, since the command
        has changed, is asked to save and end.

        :return: the job; ``None`` if there is none, or it has ended
        """
        import submitit

        noted = self._read_notes().get(task.name)
        if noted is None:
            return None
        states = self._list.read_states([noted["job"]]) or {}
        job_class = submitit.SlurmJob if self._cluster == "slurm" else submitit.LocalJob
        job: submitit.Job[int] = job_class(self._folder / "%j", noted["job"])
        if job.paths.result_pickle.exists() or not is_active(states.get(noted["job"], "COMPLETED")):
            return None
        if noted["digest"] != task.digest:
            self._list.interrupt([noted["job"]])
            return None
        logger.info("%s: job %s of an earlier command is still there", task.name, noted["job"])
        return job

    def _read_end(self, job_id: str) -> TaskEnd | None:
        """:return: the end of a job that has written a result"""
        task, job = self._running[job_id]
        try:
            with job.paths.result_pickle.open("rb") as file:
                outcome, result = pickle.load(file)
        except FileNotFoundError:
            return None
        if not job.done():  # a process of the local executor that is about to end
            return None
        if outcome == "success":
            return TaskEnd(task, result)
        return TaskEnd(task, 1, f"job {job_id}: {str(result).strip().splitlines()[-1]}")

    def _find_lost(self, job_ids: set[str]) -> dict[str, TaskEnd]:
        """Find jobs that have ended without a result, twice in a row: a file server may show the result late."""
        states = self._list.read_states(job_ids)
        if states is None:
            return {}
        ended = {job_id for job_id in job_ids if not is_active(states.get(job_id, "COMPLETED"))}
        lost, self._unlisted = ended & self._unlisted, ended
        return {job_id: self._describe_loss(job_id, states.get(job_id)) for job_id in lost}

    def _describe_loss(self, job_id: str, state: str | None) -> TaskEnd:
        task, _ = self._running[job_id]
        status = EXIT_CANCELLED if state == "CANCELLED" else None
        return TaskEnd(task, status, f"job {job_id}: {state or 'is gone'}")

    def _note(self, task: Task, job_id: str) -> None:
        notes = {**self._read_notes(), task.name: {"job": job_id, "digest": task.digest}}
        write_json(self._folder / "jobs.json", notes)

    def _read_notes(self) -> dict[str, dict[str, str]]:
        try:
            notes: dict[str, dict[str, str]] = json.loads((self._folder / "jobs.json").read_text())
        except (OSError, ValueError):
            return {}
        return notes


def _parse_time(text: str) -> float:
    try:
        return parse_duration(text)
    except ValueError:
        raise LaunchError(f"--launcher-option time: expected such as 4h, 30m or 90s, found '{text}'") from None


def _find_cause(error: Exception) -> str:
    """:return: the last line of what ``sbatch`` has printed"""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return next((line for line in lines if "error" in line), lines[-1] if lines else type(error).__name__)
