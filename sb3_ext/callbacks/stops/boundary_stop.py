"""End a training exactly between two rollouts."""

from __future__ import annotations

from sb3_ext.callbacks.bases.light_callback import LightCallback
from sb3_ext.callbacks.bases.stop_callback import StopCallback, TrainingStopped
from sb3_ext.checkpoints.state.callback_tree import list_callbacks


class BoundaryStopCallback(LightCallback):
    """
    Ends training between two rollouts, as soon as any other callback has a reason to stop.

    What a :class:`~sb3_ext.callbacks.StopCallback` returns is looked at after a step, so that on its own it ends
    training one step into the next rollout. This one raises :class:`~sb3_ext.callbacks.TrainingStopped` before that
    step: the model, the last checkpoint and everything that counts steps then agree. Put it last, and catch the
    exception around ``learn``::

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
