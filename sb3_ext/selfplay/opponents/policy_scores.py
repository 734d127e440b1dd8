"""Compute the logits or action values of a policy, without the overhead of SB3's policies on a few boards."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import torch
from gymnasium import spaces
from numpy.typing import NDArray
from sb3_contrib.common.maskable.policies import MaskableActorCriticPolicy
from sb3_contrib.qrdqn.policies import QRDQNPolicy, QuantileNetwork
from stable_baselines3.common.policies import ActorCriticPolicy, BaseModel, BasePolicy
from stable_baselines3.common.preprocessing import is_image_space
from stable_baselines3.common.torch_layers import (
    BaseFeaturesExtractor,
    CombinedExtractor,
    FlattenExtractor,
    MlpExtractor,
)
from stable_baselines3.dqn.policies import DQNPolicy, QNetwork
from torch import nn

from sb3_ext.algorithms.board_networks import BoardCNN
from sb3_ext.algorithms.masked_dqn import MaskedQNetwork, MaskedQuantileNetwork
from sb3_ext.engines.network_functions import TensorFunction, make_network_function
from sb3_ext.internals.sb3 import has_action_distribution_of
from sb3_ext.internals.torch import has_hooks

Scores = Callable[[Any], torch.Tensor]
"""From observations, an array or a ``dict`` of arrays, to a tensor of shape (boards, actions)."""


def make_scores(policy: Any) -> Scores:
    """
    Make a function that computes the logits of an actor-critic policy, or the action values of DQN and QR-DQN.

    It reads the policy's parameters at each call. Scores of illegal actions have no meaning.

    :param policy: a policy; must be in evaluation mode when the function is called
    :return: the function, to be called in ``torch.inference_mode()``
    """
    network: Any
    if isinstance(policy, DQNPolicy):
        network = policy.q_net
        if type(network) in (QNetwork, MaskedQNetwork):
            return _make_scores(policy, network, network.features_extractor, network.q_net)
        return lambda observations: network(_read_tensors(policy, observations))
    if isinstance(policy, QRDQNPolicy):
        network = policy.quantile_net
        if type(network) in (QuantileNetwork, MaskedQuantileNetwork):
            quantiles = _make_scores(policy, network, network.features_extractor, network.quantile_net)
            shape = (-1, network.n_quantiles, int(network.action_space.n))
            return lambda observations: quantiles(observations).view(shape).mean(dim=1)
        return lambda observations: network(_read_tensors(policy, observations)).mean(dim=1)
    if _has_stock_distribution(policy):
        # Same logits without a distribution object, whose checks take longer than a small network.
        return _make_scores(policy, policy, policy.pi_features_extractor, policy.mlp_extractor, policy.action_net)
    return lambda observations: policy.get_distribution(_read_tensors(policy, observations)).distribution.logits


def _make_scores(policy: BasePolicy, model: BaseModel, extractor: BaseFeaturesExtractor, *parts: nn.Module) -> Scores:
    read_features = _make_feature_reader(model, extractor)
    if read_features is None:

        def read_features(observations: Any) -> torch.Tensor:
            return BaseModel.extract_features(model, _read_tensors(policy, observations), extractor)

    first, *rest = (_make_function(part) for part in parts)

    def score(observations: Any) -> torch.Tensor:
        scores = first(read_features(observations))
        for function in rest:
            scores = function(scores)
        return scores

    return score


def _make_function(module: nn.Module) -> TensorFunction:
    if not isinstance(module, MlpExtractor):
        return make_network_function(module)
    return make_network_function(module.policy_net) if type(module) is MlpExtractor else module.forward_actor


def _make_feature_reader(model: BaseModel, extractor: BaseFeaturesExtractor) -> Scores | None:
    """:return: a function that computes the features of plain numbers; ``None`` if they need SB3's preprocessing"""
    space = model.observation_space
    parts = space.spaces if isinstance(space, spaces.Dict) else {"": space}
    if model.device.type != "cpu" or has_hooks(extractor) or not all(map(_is_plain, parts.values())):
        return None
    if type(extractor) is BoardCNN:
        compute = make_network_function(extractor)
        return lambda observations: compute(_to_float(_pick_planes(observations)))
    if type(extractor) is FlattenExtractor:
        return lambda observations: _to_float(observations).flatten(1)
    if type(extractor) is CombinedExtractor and all(type(part) is nn.Flatten for part in extractor.extractors.values()):
        keys = list(extractor.extractors)
        return lambda observations: torch.cat([_to_float(observations[key]).flatten(1) for key in keys], dim=1)
    return None


def _is_plain(space: spaces.Space[Any]) -> bool:
    return isinstance(space, spaces.Box) and not is_image_space(space)


def _pick_planes(observations: Any) -> NDArray[Any]:
    planes: NDArray[Any] = observations["observation"] if isinstance(observations, Mapping) else observations
    return planes


def _to_float(observations: NDArray[Any]) -> torch.Tensor:
    return torch.from_numpy(np.ascontiguousarray(observations, dtype=np.float32))


def _read_tensors(policy: BasePolicy, observations: Any) -> Any:
    return policy.obs_to_tensor(observations)[0]


def _has_stock_distribution(policy: BasePolicy) -> bool:
    return any(
        has_action_distribution_of(type(policy), stock)
        for stock in (ActorCriticPolicy, MaskableActorCriticPolicy)
        if isinstance(policy, stock)
    )
