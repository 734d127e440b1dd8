"""
Isolate an evaluation from training: save and restore the state that they share.

Stochastic policies sample from torch's global generator, DQN's exploration from those of NumPy and the action space,
gSDE keeps its noise in the policy, and ``predict`` switches the policy to evaluation mode. Without restoring these,
evaluations would change the results of training.
"""

from __future__ import annotations

from types import TracebackType
from typing import Any

import numpy as np
import torch
from stable_baselines3.common.distributions import StateDependentNoiseDistribution
from stable_baselines3.common.utils import set_random_seed

from sb3_ext.vec.global_random import get_global_random_state, set_global_random_state


class Isolation:
    """
    A reusable context manager for playing episodes: each block continues the random state of the previous block, and
    the random state outside is not changed.

    :param model: an SB3 algorithm or policy, or an object with a ``predict`` method
    :param seed: seed of the random numbers in the blocks; ``None`` for a seed from the operating system
    :param num_envs: number of parallel environments, each with separate gSDE noise
    """

    def __init__(self, model: Any, *, seed: int | None, num_envs: int) -> None:
        policy = getattr(model, "policy", model)
        self._policy: Any = policy if isinstance(policy, torch.nn.Module) else torch.nn.Module()
        self._action_space = getattr(model, "action_space", None)
        self._seed = seed
        self._num_envs = num_envs
        self._inside: dict[str, Any] | None = None
        self._outside: dict[str, Any] = {}

    def __enter__(self) -> None:
        self._outside = self._capture()
        if self._inside is None:
            self._begin()
        else:
            self._restore(self._inside)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._inside = self._capture()
        self._restore(self._outside)

    def _begin(self) -> None:
        seed = int(np.random.SeedSequence().generate_state(1)[0]) if self._seed is None else self._seed
        set_random_seed(seed)
        if self._action_space is not None:
            self._action_space.seed(seed)
        if self._find_noise():
            self._policy.reset_noise(self._num_envs)

    def _find_noise(self) -> list[StateDependentNoiseDistribution]:
        distributions = (getattr(module, "action_dist", None) for module in self._policy.modules())
        return [found for found in distributions if isinstance(found, StateDependentNoiseDistribution)]

    def _capture(self) -> dict[str, Any]:
        space = self._action_space
        return {
            "global": get_global_random_state(),
            "action_space": None if space is None else space.np_random.bit_generator.state,
            "training_modes": [module.training for module in self._policy.modules()],
            "noise": [vars(noise).copy() for noise in self._find_noise()],
        }

    def _restore(self, state: dict[str, Any]) -> None:
        set_global_random_state(state["global"])
        if self._action_space is not None:
            self._action_space.np_random.bit_generator.state = state["action_space"]
        for module, is_training in zip(self._policy.modules(), state["training_modes"], strict=True):
            module.training = is_training
        for noise, attributes in zip(self._find_noise(), state["noise"], strict=True):
            vars(noise).update(attributes)
