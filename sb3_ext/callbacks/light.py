"""Callbacks and their list: what SB3's do, in less time."""

from __future__ import annotations

from typing import Any

from stable_baselines3.common.callbacks import BaseCallback, CallbackList


class LightCallback(BaseCallback):
    """
    The base of all callbacks here. Does nothing, in very little time.

    SB3 copies the training loop's twenty-odd local variables into every callback at every step, which takes longer
    than most callbacks do. Here ``locals`` *is* the latest set of them.
    """

    def update_locals(self, locals_: dict[str, Any]) -> None:
        """
        Refer to the local variables of the training loop.

        :param locals_: of the step just taken
        """
        self.locals = locals_

    def _on_step(self) -> bool:
        return True


class LightCallbackList(CallbackList):
    """
    SB3's ``CallbackList`` for many callbacks of which few have anything to do at most steps.

    Every callback, SB3's and the user's own too, is called as by SB3's list; but one that inherits
    :class:`LightCallback`'s way of doing nothing at a step is left out of the steps, so its ``n_calls`` stands still.

    :param callbacks: called in this order
    """

    def __init__(self, callbacks: list[BaseCallback]) -> None:
        super().__init__(callbacks)
        self._stepping = [callback for callback in callbacks if type(callback)._on_step is not LightCallback._on_step]

    def update_locals(self, locals_: dict[str, Any]) -> None:
        """
        Hand on the local variables of the training loop.

        :param locals_: of the step just taken
        """
        self.locals = locals_
        for callback in self._stepping:
            callback.update_locals(locals_)

    def _on_step(self) -> bool:
        continue_training = True
        for callback in self._stepping:
            continue_training = callback.on_step() and continue_training
        return continue_training
