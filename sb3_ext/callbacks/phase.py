"""Tell what the training loop is doing."""

from __future__ import annotations

from sb3_ext.callbacks.bases.light_callback import LightCallback
from sb3_ext.phases import Phases


class PhaseCallback(LightCallback):
    """
    Enters the phases ``collecting`` and ``updating`` as the training loop goes through them, then ``finished``.

    Put it first, so that what other callbacks do at the end of a rollout counts as part of the update.

    :param phases: what to tell
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
