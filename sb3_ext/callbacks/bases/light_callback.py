"""The base of all callbacks here: what SB3's does, in less time."""

from __future__ import annotations

from typing import Any

from stable_baselines3.common.base_class import BaseAlgorithm
from stable_baselines3.common.callbacks import BaseCallback
from stable_baselines3.common.off_policy_algorithm import OffPolicyAlgorithm
from stable_baselines3.common.on_policy_algorithm import OnPolicyAlgorithm
from stable_baselines3.common.type_aliases import TrainFreq, TrainFrequencyUnit


class LightCallback(BaseCallback):
    """
    A callback that does nothing, in very little time.

    SB3 copies the training loop's twenty-odd local variables into every callback at every step, which takes longer
    than most callbacks do. Here ``locals`` *is* the latest set of them.

    A callback that may be called a tenth of a second late, where no episode has ended, sets ``is_patient``: then
    :class:`~sb3_ext.callbacks.LightCallbackList` leaves it out of most steps.
    """

    is_patient = False
    state_key: str | None = None
    """What identifies the callback in a checkpoint; ``None``: the name of its class."""

    def state_dict(self) -> dict[str, Any]:
        """See :class:`~sb3_ext.stateful.Stateful`. A subclass adds to what this returns."""
        return {}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """See :class:`~sb3_ext.stateful.Stateful`. Called once, at the first rollout of a resumed training."""

    def close(self) -> None:
        """Release what the callback holds. Called at the end of a run, however it ended; more than once, maybe."""

    def update_locals(self, locals_: dict[str, Any]) -> None:
        """
        Refer to the local variables of the training loop.

        :param locals_: of the step just taken
        """
        self.locals = locals_

    def _on_step(self) -> bool:
        return True


def has_rollouts_of_steps(model: BaseAlgorithm) -> bool:
    """
    Whether the algorithm's rollouts are a number of steps. Those of others are a number of episodes, and an episode
    may never end.

    :param model: any algorithm
    :return: ``True`` for on-policy algorithms, and for off-policy ones whose ``train_freq`` counts steps
    """
    if isinstance(model, OffPolicyAlgorithm):
        return isinstance(model.train_freq, TrainFreq) and model.train_freq.unit == TrainFrequencyUnit.STEP
    return isinstance(model, OnPolicyAlgorithm)


def heeds_callbacks(model: BaseAlgorithm) -> bool:
    """
    Whether the algorithm has one of SB3's two training loops. The loop of ARS is another one.

    :param model: any algorithm
    :return: ``True`` if its loop shows its variables to callbacks, and ends when one returns ``False``
    """
    return isinstance(model, (OnPolicyAlgorithm, OffPolicyAlgorithm))
