"""The network of an actor-critic policy, with gradients."""

from __future__ import annotations

import math
import sys
from collections.abc import Sequence
from typing import Any

import torch
from stable_baselines3.common.preprocessing import is_image_space
from stable_baselines3.common.torch_layers import NatureCNN
from torch import nn

from sb3_ext.algorithms.board_networks import BoardCNN
from sb3_ext.algorithms.impala import ImpalaCNN, ResidualBlock
from sb3_ext.engines.on_policy_rules import validate_policy
from sb3_ext.engines.torch_updates.action_heads import ActionHead, make_action_head
from sb3_ext.engines.torch_updates.backpropagation import ChainLayer, make_layer
from sb3_ext.engines.torch_updates.feature_layer import FeatureLayer
from sb3_ext.engines.torch_updates.rollout_minibatches import Minibatch

Tensor = torch.Tensor


_PART_BYTES = 16 * 2**20
_ROW_WISE = (
    *(nn.Sequential, nn.Linear, nn.Conv2d, nn.Flatten, nn.MaxPool2d, nn.LayerNorm, nn.Identity),
    *(nn.ReLU, nn.Tanh, nn.ELU, nn.SiLU, nn.GELU, nn.LeakyReLU, nn.Sigmoid),
    *(NatureCNN, BoardCNN, ImpalaCNN, ResidualBlock),
)
"""Modules that compute each row alone, and without random numbers."""


class PolicyNetwork:
    """
    The network of PPO, MaskablePPO or A2C.

    :param policy: the policy
    :param head: evaluates the outputs of the policy; ``None`` for the counterpart of its distribution
    :raises NotCovered: if the policy uses gSDE, or overrides how stock policies evaluate actions
    """

    def __init__(self, policy: Any, head: ActionHead | None = None) -> None:
        validate_policy(policy)
        self._head = head or make_action_head(policy)
        self.pi_features = FeatureLayer(policy, policy.pi_features_extractor)
        self.vf_features = FeatureLayer(policy, policy.vf_features_extractor)
        self._is_shared = policy.share_features_extractor
        extractor = policy.mlp_extractor
        self._policy_net = ChainLayer([make_layer(extractor.policy_net), make_layer(policy.action_net)])
        self._value_net = ChainLayer([make_layer(extractor.value_net), make_layer(policy.value_net)])

    def list_features(self) -> Sequence[FeatureLayer]:
        """:return: what computes the features of the policy and of the values"""
        return self.pi_features, self.vf_features

    def forward(self, batch: Minibatch) -> tuple[Tensor, Tensor, Tensor]:
        """
        :param batch: rows of a rollout buffer
        :return: values, log-probabilities and negative entropies, each of shape (batch,)
        """
        features = self.pi_features.forward(batch.observations)
        outputs = self._policy_net.forward(features)
        if not self._is_shared:
            features = self.vf_features.forward(batch.observations)
        values = self._value_net.forward(features)
        return (values.squeeze(1), *self._head.evaluate(outputs, batch.actions, batch.action_masks))

    def backward(self, value_slopes: Tensor, log_prob_slopes: Tensor, entropy_slope: float) -> None:
        """
        Write the gradients of a loss after :meth:`forward`.

        :param value_slopes: gradient with respect to the values, shape (batch,)
        :param log_prob_slopes: gradient with respect to the log-probabilities, shape (batch,)
        :param entropy_slope: gradient with respect to each negative entropy
        """
        slopes = self._head.compute_slopes(log_prob_slopes, entropy_slope)
        to_inputs = self.pi_features.is_trained
        to_pi = self._policy_net.backward(slopes, to_inputs=to_inputs)
        to_vf = self._value_net.backward(value_slopes[:, None], to_inputs=to_inputs)
        if to_pi is not None and to_vf is not None:
            if self._is_shared:
                self.pi_features.backward(to_pi.add_(to_vf))
            else:
                self.pi_features.backward(to_pi)
                self.vf_features.backward(to_vf)


def choose_part_size(policy: Any) -> int:
    """
    Choose how many rows of a minibatch are computed at a time: with images fewer than all, since the outputs of the
    first layers then stay in the caches of the processor.

    :param policy: policy of PPO, MaskablePPO or A2C
    :return: largest number of rows
    """
    space = policy.observation_space
    extractors = policy.pi_features_extractor, policy.vf_features_extractor
    modules = [module for extractor in extractors for module in extractor.modules()]
    if not is_image_space(space) or not all(type(module) in _ROW_WISE for module in modules):
        return sys.maxsize
    rows = _PART_BYTES // (4 * math.prod(space.shape))
    return 1 << max(4, int(rows).bit_length() - 1)
