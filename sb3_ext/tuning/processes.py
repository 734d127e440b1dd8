"""The worker processes of one command on one machine: started, watched, replaced when they die, and ended."""

from __future__ import annotations

import json
import logging
import os
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

from sb3_ext.errors import TuningError
from sb3_ext.runs.core_shares import limit_threads, share_cores
from sb3_ext.tuning.plan import TuningPlan
from sb3_ext.tuning.worker import EXIT_INTERRUPTED

logger = logging.getLogger(__name__)

_MAX_CRASHES = 3
_LOG_LINES = 5


class StudyWorkers:
    """
    Runs workers until each has found the study complete.

    They are sessions of their own, so that Ctrl+C in a terminal reaches the process that made them only, which decides.

    :param plan: of the study
    :param jobs: how many
    """

    def __init__(self, plan: TuningPlan, jobs: int) -> None:
        self._plan = plan
        self._shares = share_cores(jobs, sorted(os.sched_getaffinity(0)))
        self._workers: dict[int, subprocess.Popen[bytes]] = {}
        self._crashes = [0] * jobs
        self._is_ending = False
        self.log_directory = plan.directory / "logs"

    def start(self) -> None:
        """Start all of them."""
        self.log_directory.mkdir(parents=True, exist_ok=True)
        for index in range(len(self._shares)):
            self._start(index)

    def check(self) -> bool:
        """
        Replace those that have died.

        :return: whether any runs
        :raises TuningError: if one fails again and again
        """
        for index, worker in list(self._workers.items()):
            status = worker.poll()
            if status is None:
                continue
            del self._workers[index]
            _close(worker)
            if status == 0 or self._is_ending:
                continue
            self._note_end(index, status)
            self._start(index)
        return bool(self._workers)

    def end(self, timeout_seconds: float) -> None:
        """
        Ask all of them to save and end, and wait.

        :param timeout_seconds: after that they are killed; their trials continue from the last checkpoint next time
        """
        self._is_ending = True
        for worker in self._workers.values():
            worker.terminate()
        deadline = time.monotonic() + timeout_seconds
        for worker in self._workers.values():
            try:
                worker.wait(max(0.0, deadline - time.monotonic()))
            except subprocess.TimeoutExpired:
                logger.warning("worker %d did not end in time and is killed", worker.pid)
                worker.kill()
                worker.wait()
            _close(worker)
        self._workers.clear()

    def _start(self, index: int) -> None:
        cores = self._shares[index]
        threads = 1 if cores is None else len(cores)
        order = {"plan": self._plan.to_json(), "cores": cores, "threads": threads, "sys_path": sys.path}
        environment = {**os.environ, **limit_threads(cores)}
        with self._log_path(index).open("ab") as log:
            worker = subprocess.Popen(
                [sys.executable, "-m", "sb3_ext.tuning.worker"],
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=log,
                env=environment,
                start_new_session=True,
            )
        self._workers[index] = worker
        assert worker.stdin is not None
        with suppress(BrokenPipeError):  # it has died already, which check() sees
            worker.stdin.write(json.dumps(order).encode() + b"\n")
            worker.stdin.flush()

    def _note_end(self, index: int, status: int) -> None:
        if status < 0:
            logger.warning("worker %d was killed (%s); a new one replaces it", index + 1, _name_signal(-status))
        elif status != EXIT_INTERRUPTED:
            self._crashes[index] += 1
            lines = self._log_path(index).read_text(errors="replace").splitlines()[-_LOG_LINES:]
            if self._crashes[index] >= _MAX_CRASHES:
                raise TuningError(
                    f"worker {index + 1} has failed {_MAX_CRASHES} times; see {self._log_path(index)}, which ends:\n"
                    + "\n".join(lines)
                )
            logger.warning("worker %d failed (%s); a new one replaces it", index + 1, lines[-1] if lines else "")

    def _log_path(self, index: int) -> Path:
        return self.log_directory / f"worker_{index + 1}.log"


def _close(worker: subprocess.Popen[bytes]) -> None:
    assert worker.stdin is not None
    with suppress(BrokenPipeError):
        worker.stdin.close()


def _name_signal(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"
