"""Stop exactly between two rollouts."""

from __future__ import annotations

from sb3_ext.callbacks.bases.light_callback import LightCallback
from sb3_ext.callbacks.bases.stop_callback import StopCallback, TrainingStopped
from sb3_ext.checkpoints.state.callback_tree import list_callbacks


class BoundaryStopCallback(LightCallback):
    """
    Stop training between two rollouts as soon as another callback has a reason to stop.

    SB3 reads what callbacks return after a step, so a :class:`~sb3_ext.callbacks.StopCallback` alone ends training one
    step into the next rollout. This callback raises :class:`~sb3_ext.callbacks.TrainingStopped` before that step, so
    that the model, the last checkpoint and all counters are of the same step. Put it last, and catch the exception::

        try:
            model.learn(100_000, callback=[EpisodeBudgetCallback(20, at_boundary=True), BoundaryStopCallback()])
        except TrainingStopped as stopped:
            print(stopped.reason)
    """

    def _on_training_start(self) -> None:
        super()._on_training_start()
        called = list_callbacks(self.locals.get("callback", self))
        self._stop_callbacks = [callback for callback in called if isinstance(callback, StopCallback)]

    def _on_rollout_start(self) -> None:
        super()._on_rollout_start()
        for callback in self._stop_callbacks:
            if callback.stop_reason is not None:
                raise TrainingStopped(callback.stop_reason)
