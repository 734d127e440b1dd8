"""Where the time goes."""

from __future__ import annotations

import logging
from typing import Any

from sb3_ext.callbacks.phase import PhaseCallback
from sb3_ext.phases import Phases

logger = logging.getLogger(__name__)


class TimingsCallback(PhaseCallback):
    """
    Measures the time spent collecting, updating, evaluating and saving, and logs a breakdown at the end.

    On its own it knows the first two only; time inside other callbacks counts as one of them. Evaluating and saving
    are told apart where the callbacks that do it enter those phases, in the same ``phases``.

    :param phases: shared with whoever else enters phases; a new one by default
    """

    state_key = "timings"

    def __init__(self, phases: Phases | None = None) -> None:
        super().__init__(Phases() if phases is None else phases)

    @property
    def seconds(self) -> dict[str, float]:
        """Time per phase so far, earlier stretches of a resumed training included."""
        return self.phases.seconds

    def state_dict(self) -> dict[str, Any]:
        """See :class:`~sb3_ext.stateful.Stateful`."""
        return {**super().state_dict(), "seconds": self.phases.state_dict()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """See :class:`~sb3_ext.stateful.Stateful`."""
        super().load_state_dict(state)
        self.phases.load_state_dict(state["seconds"])

    def _on_training_end(self) -> None:
        super()._on_training_end()
        seconds = self.seconds
        total = sum(seconds.values())
        for name, spent in sorted(seconds.items(), key=lambda item: -item[1]):
            logger.info("%-10s %10.2f s  %5.1f %%", name, spent, 100 * spent / max(total, 1e-9))
