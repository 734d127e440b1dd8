"""
The current phase of a run, and the time spent in each phase.

The phases are ``starting``, ``collecting`` and ``updating`` in turn, ``evaluating``, ``saving`` and ``finished``. They
tell a long update from a stalled run, and show where the time went.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any


class Phases:
    """
    The current phase, and the time spent in each. For the thread of the training loop only.

    ``listeners`` are called with the name of the new phase after each change.
    """

    def __init__(self) -> None:
        self.current = "starting"
        self.listeners: list[Callable[[str], None]] = []
        self._seconds: dict[str, float] = {}
        self._earlier_seconds: dict[str, float] = {}
        self._entered_at = time.perf_counter()

    @property
    def seconds(self) -> dict[str, float]:
        """Seconds spent in each phase so far, including earlier processes and the current phase."""
        seconds = dict(self._earlier_seconds)
        for name, spent in self._seconds.items():
            seconds[name] = seconds.get(name, 0.0) + spent
        seconds[self.current] = seconds.get(self.current, 0.0) + time.perf_counter() - self._entered_at
        return seconds

    def state_dict(self) -> dict[str, Any]:
        """See :class:`~sb3_ext.stateful.Stateful`: seconds by phase."""
        return self.seconds

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """See :class:`~sb3_ext.stateful.Stateful`. The time of this process is added."""
        self._earlier_seconds = dict(state)

    def enter(self, name: str) -> None:
        """
        Begin a phase and end the current one. Entering the current phase again changes nothing.

        :param name: of the phase
        """
        if name == self.current:
            return
        now = time.perf_counter()
        self._seconds[self.current] = self._seconds.get(self.current, 0.0) + now - self._entered_at
        self._entered_at = now
        self.current = name
        for listener in self.listeners:
            listener(name)

    @contextmanager
    def during(self, name: str) -> Iterator[None]:
        """
        Enter a phase for the duration of a block, then return to the previous one, also after an exception.

        :param name: of the phase
        """
        previous = self.current
        self.enter(name)
        try:
            yield
        finally:
            self.enter(previous)
