"""
What a run is doing at the moment, and how long it has done each thing.

A run passes through ``starting``, ``collecting`` and ``updating`` in turn, ``evaluating``, ``saving`` and
``finished``: a long update is then not taken for a stall, and the time can be broken down.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager


class Phases:
    """
    The current phase, and the time spent in each. Belongs to one thread, the training loop's.

    ``listeners`` are called with the new phase's name, after the change.
    """

    def __init__(self) -> None:
        self.current = "starting"
        self.listeners: list[Callable[[str], None]] = []
        self._seconds: dict[str, float] = {}
        self._earlier_seconds: dict[str, float] = {}
        self._entered_at = time.perf_counter()

    @property
    def seconds(self) -> dict[str, float]:
        """Time spent in each phase so far, that of an earlier process and of the current phase included."""
        seconds = dict(self._earlier_seconds)
        for name, spent in self._seconds.items():
            seconds[name] = seconds.get(name, 0.0) + spent
        seconds[self.current] = seconds.get(self.current, 0.0) + time.perf_counter() - self._entered_at
        return seconds

    def restore(self, seconds: Mapping[str, float]) -> None:
        """
        Count on from what an earlier process has spent, on top of what this one has. Twice is the same as once.

        :param seconds: what :attr:`seconds` was then
        """
        self._earlier_seconds = dict(seconds)

    def enter(self, name: str) -> None:
        """
        Begin a phase, which ends the current one. Entering the current one again changes nothing.

        :param name: the phase
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
        Be in a phase for the length of a block, then go back to the one before, also after an exception.

        :param name: the phase
        """
        previous = self.current
        self.enter(name)
        try:
            yield
        finally:
            self.enter(previous)
