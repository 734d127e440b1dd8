"""Interrupt loops that step environments: on a signal, by a stop file, or when time is up."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import TypeVar

# A check takes microseconds on a local disk and much longer on a network disk.
_LOOK_EVERY_SECONDS = 0.1

Item = TypeVar("Item")


class StopRequested(KeyboardInterrupt):
    """
    Raised to end a loop between two of its steps. Like Ctrl+C, it is not caught by ``except Exception``.

    :param reason: such as ``signal SIGTERM``
    """

    def __init__(self, reason: str) -> None:
        self.reason = reason
        super().__init__(f"stopped: {reason}")


class Interruption:
    """
    Ends a loop early if there is a reason. Loops that step environments check it before each step.

    :param find_reasons: functions that return the reason to stop, or ``None``; called in this order at every step
    """

    def __init__(self, *find_reasons: Callable[[], str | None]) -> None:
        self._find_reasons = find_reasons

    def check(self) -> None:
        """
        :raises StopRequested: if there is a reason to end
        """
        for find_reason in self._find_reasons:
            reason = find_reason()
            if reason is not None:
                raise StopRequested(reason)

    def watch(self, items: Iterable[Item]) -> Iterator[Item]:
        """
        Check before each item.

        :param items: of a loop
        :return: the same
        :raises StopRequested: if there is a reason to end
        """
        self.check()
        for item in items:
            yield item
            self.check()


NEVER = Interruption()
"""Never ends a loop."""


class StopFile:
    """
    Checks for a file whose existence asks a training to stop; at most ten times a second.

    :param path: the file
    """

    def __init__(self, path: Path | str) -> None:
        self._path = os.fspath(path)
        self._next_look_at = 0.0

    def find_reason(self) -> str | None:
        """:return: ``stop file`` if this check found the file; ``None`` if not, or if the last check is too recent"""
        now = time.monotonic()
        if now < self._next_look_at:
            return None
        self._next_look_at = now + _LOOK_EVERY_SECONDS
        return "stop file" if os.path.exists(self._path) else None  # noqa: PTH110 (a tenth of the cost of a Path's)
