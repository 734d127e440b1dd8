"""Many callbacks, of which few have anything to do at most steps."""

from __future__ import annotations

from typing import Any

from stable_baselines3.common.callbacks import BaseCallback, CallbackList

from sb3_ext.callbacks.episodes import EpisodeCallback
from sb3_ext.callbacks.light import LightCallback


class LightCallbackList(CallbackList):
    """
    SB3's ``CallbackList``, in less time.

    Callbacks of SB3 and of the user's own are called as by SB3's list. Those made here that have nothing to do at a
    step, because they only wait for episodes to end or for rollouts, are not called at it: their ``n_calls`` and
    ``num_timesteps`` then stand still.

    :param callbacks: called in this order
    """

    def __init__(self, callbacks: list[BaseCallback]) -> None:
        super().__init__(callbacks)
        idle_at_steps = (LightCallback._on_step,)
        idle_inside_episodes = (LightCallback._on_step, EpisodeCallback._on_step)
        self._at_episode_ends = [item for item in callbacks if type(item)._on_step not in idle_at_steps]
        self._inside_episodes = [item for item in callbacks if type(item)._on_step not in idle_inside_episodes]
        self._at_this_step = self._at_episode_ends

    def update_locals(self, locals_: dict[str, Any]) -> None:
        """
        Hand on the local variables of the training loop.

        :param locals_: of the step just taken
        """
        self.locals = locals_
        self._at_this_step = self._at_episode_ends if True in locals_["dones"].tolist() else self._inside_episodes
        for callback in self._at_this_step:
            callback.update_locals(locals_)

    def _on_step(self) -> bool:
        continue_training = True
        for callback in self._at_this_step:
            continue_training = callback.on_step() and continue_training
        return continue_training
