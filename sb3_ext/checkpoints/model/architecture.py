"""Describe in plain JSON how to build a model: names from fixed lists, numbers and spaces; nothing runs code."""

from __future__ import annotations

import inspect
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from pydantic import ConfigDict, JsonValue
from stable_baselines3 import HerReplayBuffer
from stable_baselines3.common import buffers, torch_layers
from stable_baselines3.common.base_class import BaseAlgorithm
from stable_baselines3.common.sb2_compat.rmsprop_tf_like import RMSpropTFLike
from stable_baselines3.common.type_aliases import TrainFreq

from sb3_ext.algorithms import board_buffers, board_networks, impala
from sb3_ext.algorithms.algorithm_registry import find_algorithm_of
from sb3_ext.checkpoints.formats.space_json import describe_space
from sb3_ext.internals.sb3 import NO_SETUP_ARGUMENT, get_progress_remaining

STRICT_JSON = ConfigDict(strict=True, extra="forbid", allow_inf_nan=False)

LEFT_OUT = (
    *("policy", "policy_kwargs", "env", "device", "seed", "verbose", "stats_window_size", "tensorboard_log"),
    *("action_noise", "rollout_buffer_class", "rollout_buffer_kwargs", NO_SETUP_ARGUMENT),
)
"""Constructor arguments that are left out: they belong to the run, the machine, or training only."""

_SCHEDULES = ("learning_rate", "clip_range", "clip_range_vf")


_LISTS: tuple[tuple[Any, type[Any]], ...] = (
    (torch.nn.modules.activation, torch.nn.Module),
    (torch.optim, torch.optim.Optimizer),
    (torch_layers, torch_layers.BaseFeaturesExtractor),
    (impala, torch_layers.BaseFeaturesExtractor),
    (board_networks, torch_layers.BaseFeaturesExtractor),
    (buffers, buffers.ReplayBuffer),
    (board_buffers, buffers.ReplayBuffer),
)
_NOT_PLAIN: Any = object()


@dataclass(frozen=True)
class ModelDescription:
    """
    Everything that :func:`sb3_ext.checkpoints.model_loading.load_model` needs to build a model.

    :param algorithm: id of the algorithm; ``None`` for a custom one
    :param algorithm_class: module and name of the algorithm
    :param policy: alias of the policy, such as ``MlpPolicy``; ``None`` for a custom one
    :param policy_class: module and name of the policy
    :param num_envs: number of training environments
    :param arguments: arguments of the algorithm; the current value in the place of a schedule
    :param policy_arguments: ``policy_kwargs``, with names for classes; always includes the network architecture
    :param observation_space: see :func:`sb3_ext.checkpoints.formats.space_json.describe_space`
    :param action_space: see :func:`sb3_ext.checkpoints.formats.space_json.describe_space`
    :param own_code: parts with custom code, which cannot be described; a model with any needs ``trust``
    """

    __pydantic_config__ = STRICT_JSON
    algorithm: str | None
    algorithm_class: str
    policy: str | None
    policy_class: str
    num_envs: int
    arguments: dict[str, JsonValue]
    policy_arguments: dict[str, JsonValue]
    observation_space: dict[str, JsonValue]
    action_space: dict[str, JsonValue]
    own_code: list[str]


def describe_model(model: BaseAlgorithm) -> ModelDescription:
    """
    :param model: a model of SB3, SB3-Contrib or a derived class
    :return: its description
    """
    algorithm = find_algorithm_of(type(model))
    alias = next((alias for alias, known in model.policy_aliases.items() if known is model.policy_class), None)
    policy_arguments, own_code = _describe_policy_arguments(model)
    if algorithm is None:
        own_code.insert(0, f"algorithm {_name_path(type(model))}")
    if alias is None:
        own_code.insert(0, f"policy {_name_path(model.policy_class)}")
    return ModelDescription(
        algorithm=None if algorithm is None else algorithm.id,
        algorithm_class=_name_path(type(model)),
        policy=alias,
        policy_class=_name_path(model.policy_class),
        num_envs=model.n_envs,
        arguments=_describe_arguments(model),
        policy_arguments=policy_arguments,
        observation_space=describe_space(model.observation_space),
        action_space=describe_space(model.action_space),
        own_code=own_code,
    )


def find_class(name: str) -> type[Any] | None:
    """
    Find a class that a description may name: an activation, an optimizer, a features extractor or a replay buffer.

    :param name: name of the class, without its module
    :return: the class; ``None`` if a description may not name it
    """
    for module, base in _LISTS:
        found = getattr(module, name, None)
        if inspect.isclass(found) and issubclass(found, base):
            return found
    elsewhere: tuple[type[Any], ...] = (HerReplayBuffer, RMSpropTFLike)
    return next((known for known in elsewhere if known.__name__ == name), None)


def _describe_arguments(model: BaseAlgorithm) -> dict[str, JsonValue]:
    arguments = dict(_list_plain_arguments(model))
    if "replay_buffer_class" not in arguments:
        arguments.pop("replay_buffer_kwargs", None)
    elif arguments["replay_buffer_class"] == "NStepReplayBuffer" and arguments["n_steps"] != 1:
        # SB3 chose this class because of n_steps; given both, it warns that it ignores one.
        del arguments["replay_buffer_class"]
    return arguments


def _list_plain_arguments(model: BaseAlgorithm) -> Iterator[tuple[str, JsonValue]]:
    for name in inspect.signature(type(model)).parameters:
        if name in LEFT_OUT or name not in vars(model):
            continue
        value = vars(model)[name]
        if name in _SCHEDULES and callable(value):
            value = value(get_progress_remaining(model))
        described = _describe_value(value)
        if described is not _NOT_PLAIN:
            yield name, described


def _describe_policy_arguments(model: BaseAlgorithm) -> tuple[dict[str, JsonValue], list[str]]:
    described, own_code = {}, []
    given = dict(model.policy_kwargs)
    for name in ("net_arch", "activation_fn"):
        # Defaults differ between policies and perhaps versions of SB3: describe what was built.
        if name in inspect.signature(model.policy_class).parameters and hasattr(model.policy, name):
            given[name] = getattr(model.policy, name)
    for name, value in given.items():
        plain = _describe_value(value)
        if plain is _NOT_PLAIN:
            own_code.append(f"{name} {_name_path(value if inspect.isclass(value) else type(value))}")
        else:
            described[name] = plain
    return described, own_code


def _describe_value(value: Any) -> Any:
    if isinstance(value, np.generic):
        value = value.item()
    if value is None or isinstance(value, bool | int | str):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else _NOT_PLAIN
    if isinstance(value, TrainFreq):
        return [value.frequency, value.unit.value]
    if inspect.isclass(value):
        name = value.__name__
        return name if find_class(name) is value else _NOT_PLAIN
    if isinstance(value, list | tuple):
        items = [_describe_value(item) for item in value]
        return _NOT_PLAIN if _NOT_PLAIN in items else items
    if isinstance(value, Mapping) and all(isinstance(key, str) for key in value):
        members = {key: _describe_value(member) for key, member in value.items()}
        return _NOT_PLAIN if _NOT_PLAIN in members.values() else members
    return _NOT_PLAIN


def _name_path(found: type[Any]) -> str:
    return f"{found.__module__}.{found.__qualname__}"
