"""Measure how long a training has lasted, including earlier parts of a resumed one."""

from __future__ import annotations

import time
from typing import Any

from sb3_ext.arguments import validate_arguments
from sb3_ext.ranges import NonNegative


class Stopwatch:
    """
    Measure seconds from :meth:`start`, in addition to those of earlier parts of a resumed training.

    :param elapsed_before_seconds: duration of the earlier parts
    :raises ValueError: if a number is out of its range
    """

    @validate_arguments
    def __init__(self, elapsed_before_seconds: NonNegative = 0.0) -> None:
        self._elapsed_before_seconds = elapsed_before_seconds
        self._started_at: float | None = None

    def start(self) -> None:
        """Start measuring."""
        self._started_at = time.monotonic()

    def stop(self) -> None:
        """Pause; :meth:`start` continues."""
        self._elapsed_before_seconds = self.elapsed_seconds
        self._started_at = None

    def state_dict(self) -> dict[str, Any]:
        """See :class:`~sb3_ext.stateful.Stateful`."""
        return {"elapsed_seconds": self.elapsed_seconds}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """See :class:`~sb3_ext.stateful.Stateful`. A stopwatch that is running keeps running."""
        self._elapsed_before_seconds = state["elapsed_seconds"]
        if self._started_at is not None:
            self.start()

    @property
    def elapsed_seconds(self) -> float:
        """Seconds so far."""
        if self._started_at is None:
            return self._elapsed_before_seconds
        return self._elapsed_before_seconds + time.monotonic() - self._started_at
