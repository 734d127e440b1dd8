"""Base class for callbacks with low overhead per step."""

from __future__ import annotations

from typing import Any

from stable_baselines3.common.base_class import BaseAlgorithm
from stable_baselines3.common.callbacks import BaseCallback
from stable_baselines3.common.off_policy_algorithm import OffPolicyAlgorithm
from stable_baselines3.common.on_policy_algorithm import OnPolicyAlgorithm
from stable_baselines3.common.type_aliases import TrainFreq, TrainFrequencyUnit


class LightCallback(BaseCallback):
    """
    Base class for callbacks with low overhead per step.

    SB3 copies the local variables of the training loop into every callback at every step, which takes longer than most
    callbacks need. Here ``locals`` refers to them.

    A callback with ``is_patient`` may be called up to 0.1 seconds late unless an episode ends:
    :class:`~sb3_ext.callbacks.LightCallbackList` skips it in most steps.
    """

    is_patient = False
    state_key: str | None = None
    """Identifies the callback in checkpoints; ``None`` for the name of its class."""

    def state_dict(self) -> dict[str, Any]:
        """See :class:`~sb3_ext.stateful.Stateful`. Subclasses extend the dictionary."""
        return {}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """See :class:`~sb3_ext.stateful.Stateful`. Called once, at the first rollout of a resumed training."""

    def close(self) -> None:
        """Release resources. A run calls this once training has ended, also after an error; it may be called again."""

    def update_locals(self, locals_: dict[str, Any]) -> None:
        """
        Refer to the local variables of the training loop.

        :param locals_: the variables after the latest step
        """
        self.locals = locals_

    def _on_step(self) -> bool:
        return True


def has_rollouts_of_steps(model: BaseAlgorithm) -> bool:
    """
    Return whether rollouts have a fixed number of steps, rather than of episodes, which may never end.

    :param model: a model of any algorithm
    :return: ``True`` for on-policy algorithms, and for off-policy ones whose ``train_freq`` counts steps
    """
    if isinstance(model, OffPolicyAlgorithm):
        return isinstance(model.train_freq, TrainFreq) and model.train_freq.unit == TrainFrequencyUnit.STEP
    return isinstance(model, OnPolicyAlgorithm)


def has_stock_loop(model: BaseAlgorithm) -> bool:
    """
    Return whether the algorithm has one of SB3's two training loops. ARS, for example, has its own.

    :param model: a model of any algorithm
    :return: ``True`` if the loop passes its local variables to callbacks and ends when one returns ``False``
    """
    return isinstance(model, (OnPolicyAlgorithm, OffPolicyAlgorithm))
