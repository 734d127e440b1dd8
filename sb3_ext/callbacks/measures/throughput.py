"""How fast training goes at the moment, and when it will be done."""

from __future__ import annotations

from collections import deque

from sb3_ext.arguments import validate_arguments
from sb3_ext.ranges import Positive


class Throughput:
    """
    Environment transitions per second over a recent window.

    :param window_seconds: how far back to look
    :raises ValueError: if a number is out of its range
    """

    @validate_arguments
    def __init__(self, window_seconds: Positive = 30.0) -> None:
        self._window_seconds = window_seconds
        self._samples: deque[tuple[float, int]] = deque()

    def add(self, now_seconds: float, step: int) -> None:
        """
        Note where training stands.

        :param now_seconds: the time on any clock that only goes forward
        :param step: environment transitions so far
        """
        # A hundred samples describe the window; between them the latest one moves along.
        if len(self._samples) > 2 and self._samples[-1][0] - self._samples[-2][0] < self._window_seconds / 100:
            self._samples.pop()
        self._samples.append((now_seconds, step))
        # The oldest sample is kept as long as the next one does not cover the window: slow training has few.
        while len(self._samples) > 2 and self._samples[1][0] <= now_seconds - self._window_seconds:
            self._samples.popleft()

    @property
    def fps(self) -> float | None:
        """Transitions per second, ``None`` as long as there is nothing to compare."""
        if len(self._samples) < 2:
            return None
        (first_seconds, first_step), (last_seconds, last_step) = self._samples[0], self._samples[-1]
        return (last_step - first_step) / (last_seconds - first_seconds) if last_seconds > first_seconds else None

    def estimate_eta_seconds(self, total_steps: int | None, *, has_ended: bool = False) -> float | None:
        """
        Estimate the time left at the present speed.

        :param total_steps: the step at which training ends, ``None`` if that is not known
        :param has_ended: training has ended: what is left of ``total_steps`` will not be done
        :return: seconds, ``None`` where nothing can be said
        """
        fps = self.fps
        if total_steps is None or not fps:
            return None
        steps_left = max(total_steps - self._samples[-1][1], 0)
        return None if has_ended and steps_left > 0 else steps_left / fps
