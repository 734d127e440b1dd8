"""Stop after a duration."""

from __future__ import annotations

from typing import Any

from sb3_ext.arguments import validate_arguments
from sb3_ext.callbacks.bases.stop_callback import AtBoundary, StopCallback
from sb3_ext.callbacks.measures.stopwatch import Stopwatch
from sb3_ext.ranges import NonNegative, Positive


class TimeBudgetCallback(StopCallback):
    """
    Stop training after a duration, with the reason ``duration``.

    :param seconds: duration, counted from the start of ``learn``
    :param elapsed_before_seconds: duration of earlier parts of a resumed training
    :param at_boundary: stop only between two rollouts, that is up to one rollout and one update later
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
        """Used share of the budget; 1 or more when it is used up."""
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
            return None  # train at least one step, however short the duration
        return "duration" if self._stopwatch.elapsed_seconds >= self._seconds else None
