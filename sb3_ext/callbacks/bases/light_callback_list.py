"""Many callbacks, of which few have anything to do at most steps."""

from __future__ import annotations

import time
from typing import Any

from stable_baselines3.common.callbacks import BaseCallback, CallbackList

from sb3_ext.callbacks.bases.episode_callback import EpisodeCallback
from sb3_ext.callbacks.bases.light_callback import LightCallback

_CALL_PATIENT_EVERY_SECONDS = 0.1


class LightCallbackList(CallbackList):
    """
    SB3's ``CallbackList``, in less time.

    Callbacks of SB3 and of the user's own are called as by SB3's list. Those made here are left out of steps that do
    not concern them: those that wait for episodes to end are called when one does, those that are ``is_patient``
    (they look for a stop file, say) then and ten times a second. Their ``n_calls`` and ``num_timesteps`` stand still
    meanwhile. Everything else, rollouts for instance, they are told as ever.

    :param callbacks: called in this order
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
        Hand on the local variables of the training loop.

        :param locals_: of the step just taken
        """
        self.locals = locals_
        self._at_this_step = self._choose(locals_["dones"].tolist())
        for callback in self._at_this_step:
            callback.update_locals(locals_)

    def _on_rollout_start(self) -> None:
        super()._on_rollout_start()
        # A reason to stop that has waited for the end of the rollout ends training at its next step.
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
