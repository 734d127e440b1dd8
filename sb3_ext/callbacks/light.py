"""The base of all callbacks here: what SB3's does, in less time."""

from __future__ import annotations

from typing import Any

from stable_baselines3.common.base_class import BaseAlgorithm
from stable_baselines3.common.callbacks import BaseCallback
from stable_baselines3.common.off_policy_algorithm import OffPolicyAlgorithm
from stable_baselines3.common.on_policy_algorithm import OnPolicyAlgorithm


class LightCallback(BaseCallback):
    """
    A callback that does nothing, in very little time.

    SB3 copies the training loop's twenty-odd local variables into every callback at every step, which takes longer
    than most callbacks do. Here ``locals`` *is* the latest set of them.

    A callback that may be called a tenth of a second late, where no episode has ended, sets ``is_patient``: then
    :class:`~sb3_ext.callbacks.LightCallbackList` leaves it out of most steps.
    """

    is_patient = False

    def update_locals(self, locals_: dict[str, Any]) -> None:
        """
        Refer to the local variables of the training loop.

        :param locals_: of the step just taken
        """
        self.locals = locals_

    def _on_step(self) -> bool:
        return True


def heeds_callbacks(model: BaseAlgorithm) -> bool:
    """
    Whether the algorithm has one of SB3's two training loops. The loop of ARS is another one.

    :param model: any algorithm
    :return: ``True`` if its loop shows its variables to callbacks, and ends when one returns ``False``
    """
    return isinstance(model, (OnPolicyAlgorithm, OffPolicyAlgorithm))
