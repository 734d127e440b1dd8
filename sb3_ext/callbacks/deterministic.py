"""Collect experience without exploration."""

from __future__ import annotations

from typing import Any

from stable_baselines3.common.on_policy_algorithm import OnPolicyAlgorithm
from stable_baselines3.common.utils import ConstantSchedule
from torch import nn
from torch.utils.hooks import RemovableHandle

from sb3_ext.callbacks.bases.light_callback import LightCallback
from sb3_ext.errors import Sb3ExtError


class DeterministicCollectionCallback(LightCallback):
    """
    Collect experience with deterministic actions.

    DQN and QR-DQN use an exploration rate of 0 (the random actions before ``learning_starts`` remain); on-policy
    algorithms use the mode of their distribution instead of a sample. Both are reverted when training ends.

    :raises Sb3ExtError: when training starts, for other algorithms
    """

    model: Any

    def __init__(self) -> None:
        super().__init__()
        self._hook: RemovableHandle | None = None
        self._schedule: Any = None

    def _init_callback(self) -> None:
        if not isinstance(self.model, OnPolicyAlgorithm) and not hasattr(self.model, "exploration_schedule"):
            raise Sb3ExtError(
                "deterministic collection needs an on-policy algorithm, DQN or QR-DQN, "
                f"but got {type(self.model).__name__}"
            )

    def _on_training_start(self) -> None:
        if isinstance(self.model, OnPolicyAlgorithm):
            self._hook = self.model.policy.register_forward_pre_hook(_make_deterministic, with_kwargs=True)
        else:
            self._schedule = self.model.exploration_schedule
            self.model.exploration_schedule = ConstantSchedule(0.0)
            self.model.exploration_rate = 0.0

    def _on_training_end(self) -> None:
        if self._hook is not None:
            self._hook.remove()
            self._hook = None
        if self._schedule is not None:
            self.model.exploration_schedule = self._schedule
            self._schedule = None


# Algorithms call the policy itself only to collect; updates use evaluate_actions().
def _make_deterministic(
    policy: nn.Module, arguments: tuple[Any, ...], keywords: dict[str, Any]
) -> tuple[tuple[Any, ...], dict[str, Any]]:
    return arguments, {**keywords, "deterministic": True}
