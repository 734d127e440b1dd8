"""A process to run somewhere, and how it ended."""

from __future__ import annotations

import hashlib
import signal
from dataclasses import dataclass, field
from pathlib import Path

EXIT_INTERRUPTED = 75  # EX_TEMPFAIL of sysexits.h: the task has saved, and there is more to do
EXIT_CANCELLED = 130  # as after Ctrl+C: a person has ended the task
_TAIL_BYTES = 4000


@dataclass(frozen=True)
class Task:
    """
    A Python process to run, on this machine or on another one with the same files.

    :param name: name among the tasks of a command, such as ``seed_3``
    :param arguments: arguments of the Python interpreter, such as ``("-m", "my_module", "argument")``
    :param log: file to which the output is appended
    :param input: text for the standard input, which then stays open until the process that started it ends
    :param directory: working directory
    """

    name: str
    arguments: tuple[str, ...]
    log: Path
    input: str = ""
    directory: Path = field(default_factory=Path.cwd)

    @property
    def digest(self) -> str:
        """Identifies tasks that do the same."""
        return hashlib.sha256(repr(self).encode()).hexdigest()[:16]

    def read_output(self, lines: int) -> list[str]:
        """
        Read the end of the log.

        :param lines: number of lines
        :return: the last lines; none if there is no log
        """
        try:
            with self.log.open("rb") as log:
                log.seek(max(0, self.log.stat().st_size - _TAIL_BYTES))
                return log.read().decode(errors="replace").strip().splitlines()[-lines:]
        except OSError:
            return []


@dataclass(frozen=True)
class TaskEnd:
    """
    The end of a task.

    :param task: the task
    :param exit_status: exit status of its process; negative for the signal that killed it; ``None`` if the process was
        lost with its machine or its job
    :param detail: what is known besides, such as the state of the job
    """

    task: Task
    exit_status: int | None
    detail: str = ""

    @property
    def is_interrupted(self) -> bool:
        """Whether the task was ended from outside, so that it continues when it is started again."""
        return self.exit_status is None or self.exit_status < 0 or self.exit_status == EXIT_INTERRUPTED

    @property
    def explanation(self) -> str:
        """Why it ended, such as ``killed by SIGKILL`` or ``exit status 1``."""
        if self.exit_status is None:
            return self.detail or "lost"
        if self.exit_status < 0:
            return f"killed by {_name_signal(-self.exit_status)}"
        return f"exit status {self.exit_status}" + (f" ({self.detail})" if self.detail else "")


def _name_signal(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"
