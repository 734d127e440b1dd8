"""
PPO and MaskablePPO that learn games from a lookahead of one move.

PPO learns whether a move was better than expected from a single game. Here, each position of a rollout has values of
all legal moves, which the rules of the game and the value network give; the policy learns their softmax by its
cross-entropy, and the values learn the best of them. That is expert iteration (Anthony, Tian and Barber 2017,
https://arxiv.org/abs/1705.08439) with a search of depth one.

Models have the policies and files of PPO and MaskablePPO, which also load them.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from sb3_contrib import MaskablePPO
from stable_baselines3 import PPO
from stable_baselines3.common.utils import explained_variance
from torch.nn.functional import mse_loss

from sb3_ext.algorithms.lookahead_buffers import (
    LookaheadRolloutBuffer,
    LookaheadSamples,
    MaskableLookaheadRolloutBuffer,
)
from sb3_ext.internals.sb3 import add_updates, get_num_updates, update_learning_rate


def learn_from_lookahead(model: Any) -> None:
    """
    Update LookaheadPPO or LookaheadMaskablePPO with its rollout buffer.

    :param model: the model
    """
    policy = model.policy
    policy.set_training_mode(True)
    update_learning_rate(model, policy.optimizer)
    losses: list[tuple[float, ...]] = []  # of policy, values and entropy
    for _ in range(model.n_epochs):
        for batch in model.rollout_buffer.get(model.batch_size):
            policy_loss, value_loss, entropy_loss = compute_losses(policy, batch)
            loss: Any = policy_loss + model.vf_coef * value_loss + model.ent_coef * entropy_loss
            policy.optimizer.zero_grad()
            loss.backward()
            torch.nn.utils.clip_grad_norm_(policy.parameters(), model.max_grad_norm)
            policy.optimizer.step()
            losses.append((policy_loss.item(), value_loss.item(), entropy_loss.item()))
    finish_update(model, np.array(losses))


def compute_losses(policy: Any, batch: LookaheadSamples) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """
    :param policy: an actor-critic policy with one categorical action
    :param batch: a minibatch
    :return: losses of policy, values and entropy: cross-entropy, mean squared error, and negative entropy
    """
    masks = {} if batch.action_masks is None else {"action_masks": batch.action_masks}
    values, _, entropy = policy.evaluate_actions(batch.observations, batch.actions.long().flatten(), **masks)
    # The distribution of all actions, from the same pass through the network.
    log_probs = policy.action_dist.distribution.logits
    policy_loss = -(batch.move_targets * log_probs).sum(dim=1).mean()
    return policy_loss, mse_loss(values.flatten(), batch.returns), -entropy.mean()


def finish_update(model: Any, losses: NDArray[np.floating[Any]]) -> None:
    """
    Count and log an update of LookaheadPPO or LookaheadMaskablePPO.

    :param model: the model
    :param losses: of policy, values and entropy, shape (minibatches, 3)
    """
    add_updates(model, model.n_epochs)
    for name, mean in zip(("policy_loss", "value_loss", "entropy_loss"), losses.mean(axis=0).tolist(), strict=True):
        model.logger.record(f"train/{name}", mean)
    buffer = model.rollout_buffer
    explained = explained_variance(buffer.values.flatten(), buffer.returns.flatten())
    model.logger.record("train/explained_variance", explained)
    model.logger.record("train/n_updates", get_num_updates(model), exclude="tensorboard")


class LookaheadPPO(PPO):
    """
    PPO with a lookahead of one move, for :class:`~sb3_ext.selfplay.SelfPlayVecEnv`. Train it with
    :class:`~sb3_ext.callbacks.LookaheadCallback`.

    Its ``rollout_buffer_class`` is a :class:`~sb3_ext.algorithms.lookahead_buffers.LookaheadRolloutBuffer`. The
    arguments ``clip_range``, ``clip_range_vf``, ``normalize_advantage`` and ``target_kl`` are not used.
    """

    def _setup_model(self) -> None:
        self.rollout_buffer_class = self.rollout_buffer_class or LookaheadRolloutBuffer
        super()._setup_model()

    def train(self) -> None:
        """Learn from the rollout buffer."""
        learn_from_lookahead(self)


class LookaheadMaskablePPO(MaskablePPO):
    """
    MaskablePPO with a lookahead of one move, for :class:`~sb3_ext.selfplay.SelfPlayVecEnv`. Train it with
    :class:`~sb3_ext.callbacks.LookaheadCallback`.

    Its ``rollout_buffer_class`` is a :class:`~sb3_ext.algorithms.lookahead_buffers.MaskableLookaheadRolloutBuffer`. The
    arguments ``clip_range``, ``clip_range_vf``, ``normalize_advantage`` and ``target_kl`` are not used.
    """

    def _setup_model(self) -> None:
        self.rollout_buffer_class = self.rollout_buffer_class or MaskableLookaheadRolloutBuffer
        super()._setup_model()

    def train(self) -> None:
        """Learn from the rollout buffer."""
        learn_from_lookahead(self)
