"""A list of callbacks that skips those with nothing to do."""

from __future__ import annotations

import time
from typing import Any

from stable_baselines3.common.callbacks import BaseCallback, CallbackList

from sb3_ext.callbacks.bases.episode_callback import EpisodeCallback
from sb3_ext.callbacks.bases.light_callback import LightCallback

_CALL_PATIENT_EVERY_SECONDS = 0.1


class LightCallbackList(CallbackList):
    """
    SB3's ``CallbackList`` with less overhead.

    Custom and SB3's callbacks are called at every step. Callbacks of this package are called only at the steps that
    they need: those that react to episodes when an episode ends, those with ``is_patient`` also ten times a second.
    Between these calls their ``n_calls`` and ``num_timesteps`` do not change. Other events are passed to all callbacks.

    :param callbacks: callbacks in the order in which they are called
    """

    def __init__(self, callbacks: list[BaseCallback]) -> None:
        super().__init__(callbacks)
        self._at_episode_ends = [item for item in callbacks if type(item)._on_step is not LightCallback._on_step]
        self._at_times = [item for item in self._at_episode_ends if type(item)._on_step is not EpisodeCallback._on_step]
        self._at_steps = [item for item in self._at_times if not getattr(item, "is_patient", False)]
        self._at_this_step = self._at_episode_ends
        self._call_patient_at = 0.0

    def update_locals(self, locals_: dict[str, Any]) -> None:
        """
        Pass the local variables of the training loop to the callbacks of this step.

        :param locals_: the variables after the latest step
        """
        self.locals = locals_
        self._at_this_step = self._choose(locals_["dones"].tolist())
        for callback in self._at_this_step:
            callback.update_locals(locals_)

    def _on_rollout_start(self) -> None:
        super()._on_rollout_start()
        # A stop that waited for the end of the rollout ends training at the next step.
        if any(getattr(callback, "stop_reason", None) is not None for callback in self.callbacks):
            self._call_patient_at = 0.0

    def _on_step(self) -> bool:
        continue_training = True
        for callback in self._at_this_step:
            continue_training = callback.on_step() and continue_training
        return continue_training

    def _choose(self, dones: list[bool]) -> list[BaseCallback]:
        if True in dones:
            return self._at_episode_ends
        now = time.monotonic()
        if now < self._call_patient_at:
            return self._at_steps
        self._call_patient_at = now + _CALL_PATIENT_EVERY_SECONDS
        return self._at_times
