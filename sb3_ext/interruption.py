"""End loops that step environments before they are done: on a signal, by a stop file, or when time is up."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import TypeVar

# A look costs some microseconds on a local disk and much more on a network one.
_LOOK_EVERY_SECONDS = 0.1

Item = TypeVar("Item")


class StopRequested(KeyboardInterrupt):
    """
    End a loop between two of its steps. Like Ctrl+C, it is not caught by ``except Exception``.

    :param reason: why, such as ``signal SIGTERM``
    """

    def __init__(self, reason: str) -> None:
        self.reason = reason
        super().__init__(f"stopped: {reason}")


class Interruption:
    """
    Tells a loop whether to end before it is done. Every loop that steps environments checks it before each step.

    :param find_reasons: functions that return why to end, or ``None``; they are called at every step, the first one
        first
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
"""For a loop that nothing but an exception ends early."""


class StopFile:
    """
    Looks for a file whose presence asks a training to end; at most ten times a second.

    :param path: the file
    """

    def __init__(self, path: Path | str) -> None:
        self._path = os.fspath(path)
        self._next_look_at = 0.0

    def find_reason(self) -> str | None:
        """:return: ``stop file`` if it was there when last looked for"""
        now = time.monotonic()
        if now < self._next_look_at:
            return None
        self._next_look_at = now + _LOOK_EVERY_SECONDS
        return "stop file" if os.path.exists(self._path) else None  # noqa: PTH110 (a tenth of the cost of a Path's)
