"""An algorithm's own ``train`` with gradients averaged over several ranks."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import torch
from stable_baselines3.common.base_class import BaseAlgorithm
from stable_baselines3.common.save_util import recursive_getattr

from sb3_ext.engines.engine import Update
from sb3_ext.internals.sb3 import get_torch_names
from sb3_ext.ranks.averaged_gradients import averaging_gradients
from sb3_ext.ranks.logged_values import averaging_logged_values
from sb3_ext.ranks.rank_group import RankGroup
from sb3_ext.ranks.shared_advantages import sharing_advantages
from sb3_ext.ranks.shared_divergence import sharing_divergence


class AveragedTraining(Update):
    """
    Call a model's own ``train``, and let it learn from the minibatches of all ranks as from one large minibatch.

    Works with every algorithm that calls ``backward`` on its losses: PPO, A2C, MaskablePPO, RecurrentPPO, DQN, QR-DQN,
    SAC, TD3, DDPG, TQC, and subclasses.

    :param model: the model
    :param group: the ranks
    """

    def __init__(self, model: Any, group: RankGroup) -> None:
        self.model = model
        self.group: RankGroup = group

    def __call__(self, *arguments: Any, **keywords: Any) -> None:
        """Update the model; takes the arguments of ``train``."""
        with sharing_updates(self.group, self.model):
            type(self.model).train(self.model, *arguments, **keywords)

    def measure(self) -> float:
        """Not used: nothing is compared with it."""
        raise NotImplementedError


@contextmanager
def sharing_updates(group: RankGroup, model: BaseAlgorithm) -> Iterator[None]:
    """
    Let a model learn from the minibatches of all ranks in the block.

    :param group: the ranks
    :param model: the model
    """
    found = (recursive_getattr(model, name) for name in get_torch_names(model)[0])
    optimizers = [item for item in found if isinstance(item, torch.optim.Optimizer)]
    with ExitStack() as stack:
        stack.enter_context(averaging_gradients(group, optimizers))
        stack.enter_context(sharing_advantages(group, model))
        stack.enter_context(sharing_divergence(group, model))
        stack.enter_context(averaging_logged_values(group, model.logger))
        yield
