"""Measure memory and processor time of a training, including its worker processes."""

from __future__ import annotations

import dataclasses
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import psutil

_EVERY_SECONDS = 1.0
# Sampling many processes takes long and must not distort the measurement.
_MAX_SHARE_OF_SAMPLING = 0.005


@dataclass(frozen=True)
class ResourceUsage:
    """
    Resource usage of a process and its descendants.

    :param memory_kind: ``pss``, which counts shared pages once; ``rss`` if the system does not provide it
    :param memory_samples: number of memory samples
    :param memory_sum_bytes: sum of the samples
    :param memory_peak_bytes: largest sample
    :param wall_seconds: measured duration
    :param cpu_seconds: processor time of the process and its descendants
    :param core_seconds: busy time of each core of the machine, by any process
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
        """Mean of the samples."""
        return self.memory_sum_bytes / self.memory_samples if self.memory_samples else None

    @property
    def cores_used(self) -> float | None:
        """Average number of cores that the process and its descendants used."""
        return self.cpu_seconds / self.wall_seconds if self.wall_seconds > 0 else None

    @property
    def core_percents(self) -> list[float]:
        """Utilization of each core of the machine, by any process."""
        if self.wall_seconds <= 0:
            return []
        return [min(100.0, 100 * seconds / self.wall_seconds) for seconds in self.core_seconds]

    def add(self, later: ResourceUsage) -> ResourceUsage:
        """
        :param later: usage at a later time, perhaps on another machine
        :return: the total usage; cores are those of ``later`` if their number differs
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
    Samples the usage of this process and its descendants in a thread, between :meth:`start` and :meth:`stop`.

    It samples once a second, or less often so that sampling takes at most 0.5 % of the time.
    """

    def __init__(self) -> None:
        self._earlier = ResourceUsage()
        self._current = ResourceUsage()
        self._has_ended = threading.Event()
        self._thread: threading.Thread | None = None

    @property
    def usage(self) -> ResourceUsage:
        """Usage as of the last sample, including that of earlier processes."""
        return self._earlier.add(self._current) if self._current.memory_samples else self._earlier

    @property
    def current(self) -> ResourceUsage:
        """Usage since :meth:`start`, as of the last sample."""
        return self._current

    def state_dict(self) -> dict[str, Any]:
        """See :class:`~sb3_ext.stateful.Stateful`."""
        return dataclasses.asdict(self.usage)

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """See :class:`~sb3_ext.stateful.Stateful`."""
        self._earlier = ResourceUsage(**{**state, "core_seconds": tuple(state["core_seconds"])})

    def start(self) -> None:
        """Start sampling in a new thread."""
        self._earlier, self._current = self.usage, ResourceUsage()
        self._has_ended.clear()
        self._thread = threading.Thread(target=self._watch, name="resource-watch", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Take a last sample and end the thread. Further calls do nothing."""
        if self._thread is not None:
            self._has_ended.set()
            self._thread.join()
            self._thread = None

    def _watch(self) -> None:
        began_at = time.monotonic()
        cpu_before, cores_before = _measure_cpu_seconds(), _measure_core_seconds()
        last = False
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
            if last:
                return
            took_seconds = time.monotonic() - looked_at
            last = self._has_ended.wait(max(_EVERY_SECONDS, took_seconds / _MAX_SHARE_OF_SAMPLING))


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
    """:return: processor time of all processes, including ended ones, which the times of their parents contain"""
    total = 0.0
    for process in _list_processes():
        try:
            total += sum(process.cpu_times()[:4])
        except psutil.Error:
            continue
    return total


def _measure_core_seconds() -> list[float]:
    """:return: busy time of each core since the machine was booted"""
    return [sum(times) - times.idle - getattr(times, "iowait", 0.0) for times in psutil.cpu_times(percpu=True)]
