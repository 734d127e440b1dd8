"""How much memory and processor time a training takes, its worker processes included."""

from __future__ import annotations

import dataclasses
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import psutil

_EVERY_SECONDS = 1.0
# A look at many processes takes long: it must not become a part of what it measures.
_MAX_SHARE_OF_LOOKING = 0.005


@dataclass(frozen=True)
class ResourceUsage:
    """
    What a process and its descendants took over a time.

    :param memory_kind: ``pss``, which counts a page that several processes share once; ``rss`` where the system does
        not tell
    :param memory_samples: how often memory was looked at
    :param memory_sum_bytes: the sum of what was seen
    :param memory_peak_bytes: the most that was seen
    :param wall_seconds: how long it was watched
    :param cpu_seconds: processor time of the process and its descendants
    :param core_seconds: time for which each core of the machine was busy, whoever used it
    """

    memory_kind: str = "pss"
    memory_samples: int = 0
    memory_sum_bytes: int = 0
    memory_peak_bytes: int = 0
    wall_seconds: float = 0.0
    cpu_seconds: float = 0.0
    core_seconds: tuple[float, ...] = ()

    @property
    def memory_mean_bytes(self) -> float | None:
        """The mean of what was seen."""
        return self.memory_sum_bytes / self.memory_samples if self.memory_samples else None

    @property
    def cores_used(self) -> float | None:
        """How many cores the process and its descendants kept busy, on average."""
        return self.cpu_seconds / self.wall_seconds if self.wall_seconds > 0 else None

    @property
    def core_percents(self) -> list[float]:
        """How busy each core of the machine was, whoever used it."""
        if self.wall_seconds <= 0:
            return []
        return [min(100.0, 100 * seconds / self.wall_seconds) for seconds in self.core_seconds]

    def add(self, later: ResourceUsage) -> ResourceUsage:
        """
        :param later: of a later time; on a machine with another number of cores
        :return: of both; the cores are then those of the later one
        """
        same = len(self.core_seconds) == len(later.core_seconds)
        cores = tuple(map(sum, zip(self.core_seconds, later.core_seconds, strict=True))) if same else later.core_seconds
        return ResourceUsage(
            later.memory_kind,
            self.memory_samples + later.memory_samples,
            self.memory_sum_bytes + later.memory_sum_bytes,
            max(self.memory_peak_bytes, later.memory_peak_bytes),
            self.wall_seconds + later.wall_seconds,
            self.cpu_seconds + later.cpu_seconds,
            cores,
        )


class ResourceWatch:
    """
    Watches this process and its descendants from a thread, between :meth:`start` and :meth:`stop`.

    It looks once a second; less often where a look takes longer than half a percent of that.
    """

    def __init__(self) -> None:
        self._earlier = ResourceUsage()
        self._current = ResourceUsage()
        self._has_ended = threading.Event()
        self._thread: threading.Thread | None = None

    @property
    def usage(self) -> ResourceUsage:
        """As of the last look, what :meth:`restore` was given included."""
        return self._earlier.add(self._current) if self._current.memory_samples else self._earlier

    def state_dict(self) -> dict[str, Any]:
        """See :class:`~sb3_ext.stateful.Stateful`."""
        return dataclasses.asdict(self.usage)

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """See :class:`~sb3_ext.stateful.Stateful`."""
        self._earlier = ResourceUsage(**{**state, "core_seconds": tuple(state["core_seconds"])})

    def start(self) -> None:
        """Begin to watch, in a new thread."""
        self._earlier, self._current = self.usage, ResourceUsage()
        self._has_ended.clear()
        self._thread = threading.Thread(target=self._watch, name="resource-watch", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Look once more, and end the thread. More than once is no mistake."""
        if self._thread is not None:
            self._has_ended.set()
            self._thread.join()
            self._thread = None

    def _watch(self) -> None:
        began_at = time.monotonic()
        cpu_before, cores_before = _measure_cpu_seconds(), _measure_core_seconds()
        is_last = False
        while True:
            looked_at = time.monotonic()
            kind, size_bytes = _measure_memory()
            cores = zip(_measure_core_seconds(), cores_before, strict=True)
            self._current = ResourceUsage(
                kind,
                self._current.memory_samples + 1,
                self._current.memory_sum_bytes + size_bytes,
                max(self._current.memory_peak_bytes, size_bytes),
                looked_at - began_at,
                max(0.0, _measure_cpu_seconds() - cpu_before),
                tuple(now - before for now, before in cores),
            )
            if is_last:
                return
            took_seconds = time.monotonic() - looked_at
            is_last = self._has_ended.wait(max(_EVERY_SECONDS, took_seconds / _MAX_SHARE_OF_LOOKING))


def _list_processes() -> Iterator[psutil.Process]:
    own = psutil.Process()
    yield own
    yield from own.children(recursive=True)


def _measure_memory() -> tuple[str, int]:
    """:return: the kind, and bytes of all processes together"""
    kind, total = "pss", 0
    for process in _list_processes():
        try:
            try:
                total += process.memory_full_info().pss
            except (AttributeError, psutil.AccessDenied):
                kind = "rss"
                total += process.memory_info().rss
        except psutil.Error:  # it has ended meanwhile
            continue
    return kind, total


def _measure_cpu_seconds() -> float:
    """Of all processes, those that have ended included: they are in the times of their parents."""
    total = 0.0
    for process in _list_processes():
        try:
            total += sum(process.cpu_times()[:4])
        except psutil.Error:
            continue
    return total


def _measure_core_seconds() -> list[float]:
    """:return: for each core the time for which it was busy since the machine has started"""
    return [sum(times) - times.idle - getattr(times, "iowait", 0.0) for times in psutil.cpu_times(percpu=True)]
