"""Measure the current speed of training, and estimate the time left."""

from __future__ import annotations

from collections import deque

from sb3_ext.arguments import validate_arguments
from sb3_ext.ranges import Positive


class Throughput:
    """
    Environment transitions per second over a recent window.

    :param window_seconds: length of the window
    :raises ValueError: if a number is out of its range
    """

    @validate_arguments
    def __init__(self, window_seconds: Positive = 30.0) -> None:
        self._window_seconds = window_seconds
        self._samples: deque[tuple[float, int]] = deque()

    def add(self, now_seconds: float, step: int) -> None:
        """
        Add a sample.

        :param now_seconds: time of a monotonic clock
        :param step: environment transitions so far
        """
        # About a hundred samples per window; between them the latest one is replaced.
        if len(self._samples) > 2 and self._samples[-1][0] - self._samples[-2][0] < self._window_seconds / 100:
            self._samples.pop()
        self._samples.append((now_seconds, step))
        # Keep the oldest sample until the next one covers the window: slow training has few samples.
        while len(self._samples) > 2 and self._samples[1][0] <= now_seconds - self._window_seconds:
            self._samples.popleft()

    @property
    def fps(self) -> float | None:
        """Transitions per second; ``None`` with fewer than two samples."""
        if len(self._samples) < 2:
            return None
        (first_seconds, first_step), (last_seconds, last_step) = self._samples[0], self._samples[-1]
        return (last_step - first_step) / (last_seconds - first_seconds) if last_seconds > first_seconds else None

    def estimate_eta_seconds(self, total_steps: int | None, *, has_ended: bool = False) -> float | None:
        """
        Estimate the time left at the current speed.

        :param total_steps: step at which training ends; ``None`` if unknown
        :param has_ended: whether training has ended, perhaps before ``total_steps``
        :return: seconds; ``None`` if unknown
        """
        fps = self.fps
        if total_steps is None or not fps:
            return None
        steps_left = max(total_steps - self._samples[-1][1], 0)
        return None if has_ended and steps_left > 0 else steps_left / fps
