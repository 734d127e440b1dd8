"""Call a function when the first rollout starts."""

from __future__ import annotations

from collections.abc import Callable

from sb3_ext.callbacks.bases.light_callback import LightCallback


class FirstRolloutCallback(LightCallback):
    """
    Call a function once when the first rollout starts: after the reset of the environments, before their first step.

    Put it first, so that the function is called before other callbacks.

    :param function: function without arguments
    """

    def __init__(self, function: Callable[[], None]) -> None:
        super().__init__()
        self._function: Callable[[], None] | None = function

    def _on_rollout_start(self) -> None:
        if self._function is not None:
            function, self._function = self._function, None
            function()
