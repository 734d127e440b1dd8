"""The network of a policy in JSON, for the JavaScript of web pages."""

from __future__ import annotations

import base64
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from gymnasium import spaces
from sb3_contrib.common.maskable.policies import MaskableActorCriticPolicy
from sb3_contrib.common.recurrent.policies import RecurrentActorCriticPolicy
from sb3_contrib.qrdqn.policies import QRDQNPolicy, QuantileNetwork
from sb3_contrib.tqc.policies import Actor as TqcActor
from stable_baselines3.common.distributions import DiagGaussianDistribution
from stable_baselines3.common.policies import ActorCriticPolicy
from stable_baselines3.common.torch_layers import CombinedExtractor, FlattenExtractor, MlpExtractor
from stable_baselines3.common.vec_env import (
    VecEnv,
    VecFrameStack,
    VecNormalize,
    unwrap_vec_normalize,
    unwrap_vec_wrapper,
)
from stable_baselines3.dqn.policies import DQNPolicy, QNetwork
from stable_baselines3.sac.policies import Actor as SacActor
from stable_baselines3.td3.policies import Actor as Td3Actor
from torch import nn

from sb3_ext.algorithms.board_networks import BoardCNN
from sb3_ext.algorithms.masked_dqn import MASK, MaskedQNetwork, MaskedQuantileNetwork
from sb3_ext.engines.coverage import NotCovered, name_type

_ACTIVATIONS: dict[type[nn.Module], str] = {
    nn.ReLU: "relu",
    nn.Tanh: "tanh",
    nn.Sigmoid: "sigmoid",
    nn.SiLU: "silu",
    nn.ELU: "elu",
    nn.LeakyReLU: "leaky_relu",
}
_SHAPE = tuple[int, ...]


def describe_network(policy: Any, env: VecEnv) -> dict[str, Any]:
    """
    Describe what leads from an observation to deterministic actions, with weights as base64 of float32.

    :param policy: a policy without recurrent states, on vectors or boards
    :param env: the environments that it plays in, with all their wrappers
    :return: ``trunk``, and after it ``actor`` and ``critic`` (or ``None``), lists of layers; ``output``, what the
        numbers of the actor mean; ``normalization`` and ``stack`` of observations (or ``None``); ``mask_first``,
        whether the legal moves come before the observation
    :raises NotCovered: if a part is not supported
    """
    description = {"stack": _read_stack(env), "normalization": _describe_normalization(env), "mask_first": False}
    space = policy.observation_space
    if isinstance(space, spaces.Dict) and _reads_masks(policy):
        description["mask_first"] = list(space.spaces) == [MASK, "observation"] and not _has_board_extractor(policy)
        space = space["observation"]
    if not isinstance(space, spaces.Box):
        raise NotCovered(f"observations in {space}")
    parts = _list_parts(policy)
    shape = tuple(int(length) for length in space.shape)
    if description["mask_first"]:
        shape = (int(np.prod(shape)) + int(policy.action_space.n),)
    trunk, width = _describe_layers(parts.trunk, shape)
    return {
        **description,
        "trunk": trunk,
        "actor": _describe_layers(parts.actor, width)[0],
        "critic": None if parts.critic is None else _describe_layers(parts.critic, width)[0],
        "output": parts.output,
    }


def encode_numbers(values: Any) -> str:
    """
    :param values: an array or a tensor, float32 or float64
    :return: base64 of its little-endian numbers
    """
    array = values.detach().cpu().numpy() if isinstance(values, torch.Tensor) else np.asarray(values)
    return base64.b64encode(np.ascontiguousarray(array, dtype=array.dtype.newbyteorder("<")).tobytes()).decode()


class _Parts(NamedTuple):
    """Modules of a policy, and what the numbers of the actor mean."""

    trunk: Sequence[nn.Module]
    actor: Sequence[nn.Module]
    critic: Sequence[nn.Module] | None
    output: dict[str, Any]


def _list_parts(policy: Any) -> _Parts:
    actions = policy.action_space
    if isinstance(policy, DQNPolicy) and type(policy.q_net) in (QNetwork, MaskedQNetwork):
        network: Any = policy.q_net
        return _Parts([network.features_extractor], [network.q_net], None, _describe_values(actions))
    if isinstance(policy, QRDQNPolicy) and type(policy.quantile_net) in (QuantileNetwork, MaskedQuantileNetwork):
        network = policy.quantile_net
        return _Parts([network.features_extractor], [network.quantile_net], None, _describe_values(actions))
    if isinstance(policy, RecurrentActorCriticPolicy):
        raise NotCovered("a recurrent policy")
    if isinstance(policy, ActorCriticPolicy | MaskableActorCriticPolicy):
        return _list_actor_critic(policy)
    network = getattr(policy, "actor", None)
    if type(network) in (SacActor, TqcActor) and not network.use_sde:
        actor = [network.latent_pi, network.mu, nn.Tanh()]
        return _Parts([network.features_extractor], actor, None, _describe_range(actions))
    if type(network) is Td3Actor:
        return _Parts([network.features_extractor], [network.mu], None, _describe_range(actions))
    raise NotCovered(f"a {name_type(policy)}" + (" with gSDE" if getattr(network, "use_sde", False) else ""))


def _list_actor_critic(policy: Any) -> _Parts:
    if type(policy.mlp_extractor) is not MlpExtractor:
        raise NotCovered(f"the module {name_type(policy.mlp_extractor)}")
    trunk: list[nn.Module] = [policy.pi_features_extractor]
    actor = [policy.mlp_extractor.policy_net, policy.action_net]
    critic = [policy.mlp_extractor.value_net, policy.value_net]
    if policy.vf_features_extractor is not policy.pi_features_extractor:
        trunk, actor, critic = [], [policy.pi_features_extractor, *actor], [policy.vf_features_extractor, *critic]
    actions, distribution = policy.action_space, policy.action_dist
    if isinstance(actions, spaces.Discrete):
        return _Parts(trunk, actor, critic, {"kind": "probabilities", "actions": int(actions.n)})
    is_gaussian = type(distribution) is DiagGaussianDistribution and not policy.squash_output
    if isinstance(actions, spaces.Box) and is_gaussian:
        return _Parts(trunk, actor, critic, _describe_range(actions, squash=False))
    raise NotCovered(f"actions in {actions} by a {name_type(distribution)}")


def _describe_values(actions: spaces.Discrete) -> dict[str, Any]:
    return {"kind": "values", "actions": int(actions.n)}


def _describe_range(actions: spaces.Box, *, squash: bool = True) -> dict[str, Any]:
    if not (np.isfinite(actions.low).all() and np.isfinite(actions.high).all()):
        raise NotCovered(f"unbounded actions in {actions}")
    return {"kind": "continuous", "squash": squash, "low": actions.low.tolist(), "high": actions.high.tolist()}


def _describe_layers(modules: Sequence[nn.Module], shape: _SHAPE) -> tuple[list[dict[str, Any]], _SHAPE]:
    """
    :param modules: computed one after the other
    :param shape: of an input, without the batch
    :return: the layers, and the shape of an output
    """
    layers: list[dict[str, Any]] = []
    for module in _list_layers(modules):
        kind = type(module)
        if isinstance(module, nn.Linear) and kind is nn.Linear:
            layers.append({"type": "linear", **_describe_weights(module)})
            shape = (module.out_features,)
        elif isinstance(module, nn.Conv2d) and kind is nn.Conv2d:
            layer = _describe_convolution(module, shape)
            layers.append(layer)
            rows, cols = (
                (shape[i + 1] + 2 * layer["padding"][i] - layer["kernel"][i]) // layer["stride"][i] + 1 for i in (0, 1)
            )
            shape = (module.out_channels, rows, cols)
        elif kind in _ACTIVATIONS:
            constants = {"alpha": getattr(module, "alpha", None), "slope": getattr(module, "negative_slope", None)}
            known = {name: value for name, value in constants.items() if value is not None}
            layers.append({"type": "activation", "name": _ACTIVATIONS[kind], **known})
        elif kind not in (nn.Flatten, nn.Identity, nn.Dropout):
            raise NotCovered(f"the layer {name_type(module)}")
    return layers, shape


def _list_layers(modules: Sequence[nn.Module]) -> Iterator[nn.Module]:
    for module in modules:
        if isinstance(module, nn.Sequential):
            yield from _list_layers(list(module))
        elif type(module) is BoardCNN:
            yield from _list_layers([module.layers])
        elif type(module) is CombinedExtractor:
            yield from _list_layers(list(module.extractors.values()))
        elif type(module) is not FlattenExtractor:
            yield module


def _describe_weights(module: nn.Linear | nn.Conv2d) -> dict[str, str]:
    bias = torch.zeros(len(module.weight)) if module.bias is None else module.bias
    return {"weights": encode_numbers(module.weight), "bias": encode_numbers(bias)}


def _describe_convolution(module: nn.Conv2d, shape: _SHAPE) -> dict[str, Any]:
    is_plain = (module.dilation, module.groups, module.padding_mode) == ((1, 1), 1, "zeros")
    if not is_plain or isinstance(module.padding, str) or len(shape) != 3:
        raise NotCovered("a convolution with dilation, groups or a special padding")
    sizes = {"channels": shape[0], "height": shape[1], "width": shape[2]}
    window = {"kernel": module.kernel_size, "stride": module.stride, "padding": module.padding}
    return {
        "type": "convolution",
        **sizes,
        **{name: list(value) for name, value in window.items()},
        **_describe_weights(module),
    }


def _reads_masks(policy: Any) -> bool:
    return set(policy.observation_space.spaces) == {MASK, "observation"}


def _has_board_extractor(policy: Any) -> bool:
    network = getattr(policy, "q_net", None) or getattr(policy, "quantile_net", None) or policy
    return type(network.features_extractor) is BoardCNN


def _read_stack(env: VecEnv) -> int | None:
    stack = unwrap_vec_wrapper(env, VecFrameStack)
    return None if stack is None else int(stack.stacked_obs.n_stack)


def _describe_normalization(env: VecEnv) -> dict[str, Any] | None:
    normalize: VecNormalize | None = unwrap_vec_normalize(env)
    if normalize is None or not normalize.norm_obs:
        return None
    statistics: Any = normalize.obs_rms
    if isinstance(statistics, dict):
        raise NotCovered("normalised parts of a Dict observation")
    scale = np.sqrt(statistics.var + normalize.epsilon)
    clip = float(normalize.clip_obs)
    return {"mean": encode_numbers(statistics.mean), "scale": encode_numbers(scale), "clip": clip}
