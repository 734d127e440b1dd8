"""Compute the logits, action values or values of a policy, without the overhead of SB3's policies on a few boards."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
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
from sb3_ext.engines.network_functions import FunctionChain, TensorFunction, describe_function, make_network_function
from sb3_ext.internals.sb3 import has_action_distribution_of
from sb3_ext.internals.torch import has_hooks

Reader = Callable[[Any], Any]
"""From observations, an array or a ``dict`` of arrays, to the inputs of a network."""


class PolicyScores:
    """
    Computes the logits of an actor-critic policy, or the action values of DQN and QR-DQN.

    It reads the policy's parameters at each call. Scores of illegal actions have no meaning.

    :param read: makes inputs of observations
    :param network: computes the scores of inputs
    """

    def __init__(self, read: Reader, network: TensorFunction) -> None:
        self.read, self.network = read, network
        #: policies whose scores can be computed together have the same one, and the same kind of observations
        self.description = describe_function(network)

    def __call__(self, observations: Any) -> torch.Tensor:
        """
        :param observations: an array or a ``dict`` of arrays
        :return: scores, shape (boards, actions)
        """
        return self.network(self.read(observations))


def make_scores(policy: Any) -> PolicyScores:
    """
    :param policy: a policy; must be in evaluation mode when its scores are computed
    :return: its scores, to be computed in ``torch.inference_mode()``
    """
    network: Any
    if isinstance(policy, DQNPolicy):
        network = policy.q_net
        if type(network) in (QNetwork, MaskedQNetwork):
            return _make_scores(policy, network, network.features_extractor, network.q_net)
        return PolicyScores(partial(_read_tensors, policy), network)
    if isinstance(policy, QRDQNPolicy):
        network = policy.quantile_net
        if type(network) in (QuantileNetwork, MaskedQuantileNetwork):
            quantiles = _make_scores(policy, network, network.features_extractor, network.quantile_net)
            shape = (-1, network.n_quantiles, int(network.action_space.n))
            return PolicyScores(quantiles.read, lambda inputs: quantiles.network(inputs).view(shape).mean(dim=1))
        return PolicyScores(partial(_read_tensors, policy), lambda inputs: network(inputs).mean(dim=1))
    if _has_stock_distribution(policy):
        # Same logits without a distribution object, whose checks take longer than a small network.
        return _make_scores(policy, policy, policy.pi_features_extractor, policy.mlp_extractor, policy.action_net)
    return PolicyScores(
        partial(_read_tensors, policy), lambda inputs: policy.get_distribution(inputs).distribution.logits
    )


def make_values(policy: Any) -> PolicyScores:
    """
    :param policy: an actor-critic policy; must be in evaluation mode when values are computed
    :return: the values of observations, shape (boards, 1), to be computed in ``torch.inference_mode()``
    """
    stock = (ActorCriticPolicy.predict_values, MaskableActorCriticPolicy.predict_values)
    if type(policy).predict_values in stock:
        parts = (policy.mlp_extractor, policy.value_net)
        return _make_scores(policy, policy, policy.vf_features_extractor, *parts, of_values=True)
    return PolicyScores(partial(_read_tensors, policy), policy.predict_values)


def _make_scores(
    policy: BasePolicy,
    model: BaseModel,
    extractor: BaseFeaturesExtractor,
    *parts: nn.Module,
    of_values: bool = False,
) -> PolicyScores:
    functions = [_make_function(part, of_values=of_values) for part in parts]
    read = _make_reader(model, extractor)
    if read is None:

        def extract(tensors: Any) -> torch.Tensor:
            return BaseModel.extract_features(model, tensors, extractor)

        return PolicyScores(partial(_read_tensors, policy), FunctionChain([extract, *functions]))
    if type(extractor) is BoardCNN:
        functions.insert(0, make_network_function(extractor))
    return PolicyScores(read, FunctionChain(functions))


def _make_function(module: nn.Module, *, of_values: bool) -> TensorFunction:
    if not isinstance(module, MlpExtractor):
        return make_network_function(module)
    if type(module) is MlpExtractor:
        return make_network_function(module.value_net if of_values else module.policy_net)
    return module.forward_critic if of_values else module.forward_actor


def _make_reader(model: BaseModel, extractor: BaseFeaturesExtractor) -> Reader | None:
    """:return: a function that makes tensors of plain numbers; ``None`` if they need SB3's preprocessing"""
    space = model.observation_space
    parts = space.spaces if isinstance(space, spaces.Dict) else {"": space}
    if model.device.type != "cpu" or has_hooks(extractor) or not all(map(_is_plain, parts.values())):
        return None
    if type(extractor) is BoardCNN:
        return lambda observations: _to_float(_pick_planes(observations))
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
