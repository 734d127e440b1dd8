"""Stop after a wall-clock time."""

from __future__ import annotations

from typing import Any

from sb3_ext.arguments import validate_arguments
from sb3_ext.callbacks.bases.stop_callback import AtBoundary, StopCallback
from sb3_ext.callbacks.measures.stopwatch import Stopwatch
from sb3_ext.ranges import NonNegative, Positive


class TimeBudgetCallback(StopCallback):
    """
    Ends training when it has lasted long enough, for the reason ``duration``.

    :param seconds: how long to train, counted from the start of ``learn``
    :param elapsed_before_seconds: what earlier stretches of a resumed training have used up
    :param at_boundary: stop only between two rollouts, so up to one rollout and one update later
    :raises ValueError: if a number is out of its range
    """

    state_key = "time_budget"
    is_patient = True

    @validate_arguments
    def __init__(
        self, seconds: Positive, *, elapsed_before_seconds: NonNegative = 0.0, at_boundary: AtBoundary = False
    ) -> None:
        super().__init__(at_boundary=at_boundary)
        self._seconds = seconds
        self._stopwatch = Stopwatch(elapsed_before_seconds)

    @property
    def used_share(self) -> float:
        """How much of the budget is used, from 0; 1 and more: all of it."""
        return self._stopwatch.elapsed_seconds / self._seconds

    def state_dict(self) -> dict[str, Any]:
        """See :class:`~sb3_ext.stateful.Stateful`."""
        return {**super().state_dict(), **self._stopwatch.state_dict()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """See :class:`~sb3_ext.stateful.Stateful`."""
        super().load_state_dict(state)
        self._stopwatch.load_state_dict(state)

    def _on_training_start(self) -> None:
        super()._on_training_start()
        self._stopwatch.start()

    def _find_stop_reason(self) -> str | None:
        if self.model.num_timesteps == 0:
            return None  # however short the time, there is something to learn from
        return "duration" if self._stopwatch.elapsed_seconds >= self._seconds else None
