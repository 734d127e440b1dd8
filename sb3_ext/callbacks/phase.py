"""Track the phase of the training loop."""

from __future__ import annotations

from sb3_ext.callbacks.bases.light_callback import LightCallback
from sb3_ext.phases import Phases


class PhaseCallback(LightCallback):
    """
    Enter the phases ``collecting`` and ``updating`` in turn, and ``finished`` at the end.

    Put it first, so that time in other callbacks at the end of a rollout counts as part of the update.

    :param phases: the phases to enter
    """

    def __init__(self, phases: Phases) -> None:
        super().__init__()
        self.phases = phases

    def _on_rollout_start(self) -> None:
        self.phases.enter("collecting")

    def _on_rollout_end(self) -> None:
        self.phases.enter("updating")

    def _on_training_end(self) -> None:
        self.phases.enter("finished")
