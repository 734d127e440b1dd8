"""Measure the current speed of something that is counted, and estimate the time left."""

from __future__ import annotations

from collections import deque

from sb3_ext.arguments import validate_arguments
from sb3_ext.ranges import Positive


class Throughput:
    """
    Count per second over a recent window, such as environment transitions.

    :param window_seconds: length of the window
    :raises ValueError: if a number is out of its range
    """

    @validate_arguments
    def __init__(self, window_seconds: Positive = 30.0) -> None:
        self._window_seconds = window_seconds
        self._samples: deque[tuple[float, float]] = deque()

    def add(self, now_seconds: float, count: float) -> None:
        """
        Add a sample.

        :param now_seconds: time of a monotonic clock
        :param count: count so far
        """
        # About a hundred samples per window; between them the latest one is replaced.
        if len(self._samples) > 2 and self._samples[-1][0] - self._samples[-2][0] < self._window_seconds / 100:
            self._samples.pop()
        self._samples.append((now_seconds, count))
        # Keep the oldest sample until the next one covers the window: slow training has few samples.
        while len(self._samples) > 2 and self._samples[1][0] <= now_seconds - self._window_seconds:
            self._samples.popleft()

    @property
    def rate(self) -> float | None:
        """Count per second; ``None`` with fewer than two samples."""
        if len(self._samples) < 2:
            return None
        (first_seconds, first), (last_seconds, last) = self._samples[0], self._samples[-1]
        return (last - first) / (last_seconds - first_seconds) if last_seconds > first_seconds else None

    def estimate_eta_seconds(self, total: float | None, *, has_ended: bool = False) -> float | None:
        """
        Estimate the time left at the current speed.

        :param total: count at which training ends; ``None`` if unknown
        :param has_ended: whether training has ended, perhaps before ``total``
        :return: seconds; ``None`` if unknown
        """
        rate = self.rate
        if total is None or not rate:
            return None
        left = max(total - self._samples[-1][1], 0)
        return None if has_ended and left > 0 else left / rate
