"""Do something when training begins in earnest."""

from __future__ import annotations

from collections.abc import Callable

from sb3_ext.callbacks.bases.light_callback import LightCallback


class FirstRolloutCallback(LightCallback):
    """
    Calls a function once, when the first rollout begins: after the environments' reset and before their first step.

    Put it first, so that the function is called before what other callbacks do then.

    :param function: takes nothing
    """

    def __init__(self, function: Callable[[], None]) -> None:
        super().__init__()
        self._function: Callable[[], None] | None = function

    def _on_rollout_start(self) -> None:
        if self._function is not None:
            function, self._function = self._function, None
            function()
