"""The processes that train the runs of a sweep: some at a time, until each run has ended."""

from __future__ import annotations

import logging
import os
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from sb3_ext.runs.core_shares import limit_threads, share_cores
from sb3_ext.sweeps.sweep import Sweep

logger = logging.getLogger(__name__)

_LOG_BYTES = 4000


@dataclass(frozen=True)
class MemberEnd:
    """
    The end of a member's process.

    :param seed: seed of the run
    :param exit_status: exit status of ``sb3-ext train``; negative for the signal that killed the process
    :param output: the last lines that it printed
    """

    seed: int
    exit_status: int
    output: str


class MemberProcesses:
    """
    Train the runs of a sweep in processes, several at a time.

    Each process is a session of its own, so that Ctrl+C in a terminal reaches only the process that started them; when
    that one ends in any way, they save and end, too.

    :param sweep: the sweep
    :param seeds: seeds of the runs to train
    :param jobs: number of processes at a time
    :param command: makes the command of a process from the seed
    """

    def __init__(self, sweep: Sweep, seeds: Sequence[int], jobs: int, command: Callable[[int], list[str]]) -> None:
        self._sweep = sweep
        self._waiting = list(seeds)
        self._shares = share_cores(jobs, sorted(os.sched_getaffinity(0)))
        self._command = command
        self._running: dict[int, tuple[int, subprocess.Popen[bytes]]] = {}

    @property
    def running(self) -> list[int]:
        """Seeds of the runs that train now."""
        return [seed for seed, _ in self._running.values()]

    def check(self) -> Iterator[MemberEnd]:
        """
        Start processes where there is room.

        :return: the processes that have ended since the last call
        """
        for slot in range(len(self._shares)):
            if slot in self._running:
                seed, process = self._running[slot]
                status = process.poll()
                if status is None:
                    continue
                del self._running[slot]
                self._close(process)
                yield MemberEnd(seed, status, self._read_output(seed))
            if self._waiting:
                self._start(slot, self._waiting.pop(0))

    @property
    def is_done(self) -> bool:
        """Whether all processes have ended."""
        return not (self._waiting or self._running)

    def stop(self) -> None:
        """Start no more runs, and ask those that train to save and end."""
        self._waiting.clear()
        for _, process in self._running.values():
            process.terminate()

    def kill(self) -> None:
        """End all processes at once; their runs continue from the last checkpoint next time."""
        self._waiting.clear()
        for _, process in self._running.values():
            process.kill()
            process.wait()
            self._close(process)
        self._running.clear()

    def _start(self, slot: int, seed: int) -> None:
        cores = self._shares[slot]
        with self._log_path(seed).open("ab") as log:
            process = subprocess.Popen(
                [sys.executable, *self._command(seed)],
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=log,
                env={**os.environ, **limit_threads(cores)},
                start_new_session=True,
            )
        if cores is not None:
            os.sched_setaffinity(process.pid, cores)
        self._running[slot] = seed, process

    def _read_output(self, seed: int) -> str:
        with self._log_path(seed).open("rb") as log:
            log.seek(max(0, self._log_path(seed).stat().st_size - _LOG_BYTES))
            return log.read().decode(errors="replace").strip()

    def _log_path(self, seed: int) -> Path:
        return self._sweep.logs / f"seed_{seed}.log"

    @staticmethod
    def _close(process: subprocess.Popen[bytes]) -> None:
        assert process.stdin is not None
        process.stdin.close()
