"""Measure the time in each phase of training."""

from __future__ import annotations

import logging
from typing import Any

from sb3_ext.callbacks.phase import PhaseCallback
from sb3_ext.phases import Phases

logger = logging.getLogger(__name__)


class TimingsCallback(PhaseCallback):
    """
    Measure the time for collecting, updating, evaluating and saving, and log a breakdown at the end.

    Evaluating and saving are measured only if the callbacks that do it enter these phases in the same ``phases``;
    otherwise their time counts as collecting or updating.

    :param phases: phases shared with other callbacks; ``None`` for new ones
    """

    state_key = "timings"

    def __init__(self, phases: Phases | None = None) -> None:
        super().__init__(Phases() if phases is None else phases)

    @property
    def seconds(self) -> dict[str, float]:
        """Time per phase so far, including earlier parts of a resumed training."""
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
