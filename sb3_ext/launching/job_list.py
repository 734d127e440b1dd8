"""The states of submitit's jobs: from Slurm's queue, or from the processes of this machine."""

from __future__ import annotations

import logging
import subprocess
from collections.abc import Collection, Mapping
from contextlib import suppress
from typing import Protocol

import psutil

logger = logging.getLogger(__name__)

_ENDED = {"BOOT_FAIL", "CANCELLED", "COMPLETED", "DEADLINE", "FAILED", "NODE_FAIL", "OUT_OF_MEMORY", "TIMEOUT"}
_TIMEOUT_SECONDS = 60


class JobList(Protocol):
    """Knows and ends jobs by their ids."""

    def read_states(self, jobs: Collection[str]) -> Mapping[str, str] | None:
        """
        :param jobs: ids
        :return: state of each job that is known; ``None`` if the states cannot be read now
        """

    def interrupt(self, jobs: Collection[str]) -> None:
        """Remove jobs that wait, and ask the others to save and end."""

    def cancel(self, jobs: Collection[str]) -> None:
        """End jobs at once."""


def is_active(state: str) -> bool:
    """
    :param state: a state of Slurm
    :return: whether the job waits, runs, or is queued again
    """
    return state not in _ENDED


class SlurmJobList:
    """The queue of Slurm, through ``squeue`` and ``scancel``, which need no accounting database."""

    def read_states(self, jobs: Collection[str]) -> Mapping[str, str] | None:
        command = ["squeue", "--me", "--states=all", "--noheader", "--format=%i|%T"]
        try:
            result = subprocess.run(command, capture_output=True, text=True, check=True, timeout=_TIMEOUT_SECONDS)
        except (OSError, subprocess.SubprocessError) as error:
            detail = getattr(error, "stderr", None) or error
            logger.warning("squeue fails, so jobs that end without a result are noticed later: %s", detail)
            return None
        states = dict(line.strip().split("|", 1) for line in result.stdout.splitlines() if "|" in line)
        return {job: states[job] for job in jobs if job in states}

    def interrupt(self, jobs: Collection[str]) -> None:
        _scancel("--state=PENDING", *jobs)
        _scancel("--signal=INT", *jobs)

    def cancel(self, jobs: Collection[str]) -> None:
        _scancel(*jobs)


class ProcessList:
    """The processes of submitit's local executor, whose ids are those of the jobs."""

    def read_states(self, jobs: Collection[str]) -> Mapping[str, str] | None:
        return {job: "RUNNING" for job in jobs if self._find(job) is not None}

    def interrupt(self, jobs: Collection[str]) -> None:
        for process in filter(None, map(self._find, jobs)):
            process.terminate()  # the process passes it on

    def cancel(self, jobs: Collection[str]) -> None:
        for process in filter(None, map(self._find, jobs)):
            # Not SIGINT, with which the process would end its tasks: what a script starts in the background ignores it.
            tasks = []
            with suppress(psutil.NoSuchProcess):
                tasks = process.children(recursive=True)
            for member in (process, *tasks):  # the process first, which starts tasks again
                with suppress(psutil.NoSuchProcess):
                    member.kill()

    @staticmethod
    def _find(job: str) -> psutil.Process | None:
        try:
            process = psutil.Process(int(job))
            is_job = "submitit.local._local" in process.cmdline() and process.status() != psutil.STATUS_ZOMBIE
        except psutil.Error:
            return None
        return process if is_job else None


def _scancel(*arguments: str) -> None:
    # Jobs that have ended meanwhile are errors, which do not matter.
    subprocess.run(["scancel", *arguments], capture_output=True, timeout=_TIMEOUT_SECONDS)
