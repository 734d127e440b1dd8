"""Load a ``model.zip`` of stock SB3 without unpickling anything."""

from __future__ import annotations

import inspect
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from gymnasium import spaces
from stable_baselines3.common.base_class import BaseAlgorithm
from stable_baselines3.common.vec_env import VecEnv
from stable_baselines3.her import HerReplayBuffer

from sb3_ext.checkpoints.formats.space_json import describe_space
from sb3_ext.checkpoints.model.architecture import LEFT_OUT, ModelDescription, find_class
from sb3_ext.checkpoints.model.assembly import build_model
from sb3_ext.checkpoints.model.trust import read_data, read_tensors

_CLASS = re.compile(r"<class '(?:\w+\.)*(\w+)'>")
_METHOD = re.compile(r"<function (\w+)\.__init__ at ")


def load_foreign_model(
    path: Path, algorithm_class: type[BaseAlgorithm], env: VecEnv, device: torch.device | str
) -> BaseAlgorithm:
    """
    Build a model from the plain JSON and the tensors of its zip, and the spaces of the environments.

    :param path: the zip
    :param algorithm_class: class of the algorithm, which the zip does not contain
    :param env: environments like those of its training, wrapped as SB3 wraps them
    :param device: device of the model
    :return: the model, with fresh optimizers
    :raises CheckpointError: if it is not a model of SB3, does not fit, or is malicious
    """
    data, weights = read_data(path), read_tensors(path, "policy")
    description = ModelDescription(
        algorithm=None,
        algorithm_class=algorithm_class.__name__,
        policy=_choose_policy(algorithm_class, data, env.observation_space),
        policy_class="",
        num_envs=env.num_envs,
        arguments=_list_readable(data, algorithm_class),
        policy_arguments=_read_policy_arguments(data),
        observation_space=describe_space(env.observation_space),
        action_space=describe_space(env.action_space),
        own_code=[],
    )
    return build_model(algorithm_class, description, weights, env=env, device=device)


def _list_readable(data: Mapping[str, Any], algorithm_class: type[BaseAlgorithm]) -> dict[str, Any]:
    names = set(inspect.signature(algorithm_class).parameters) - set(LEFT_OUT)
    readable = {name: data[name] for name in names & data.keys() if not _is_pickled(data[name])}
    buffer_class = _read_defining_class(data.get("replay_buffer_class"))
    if buffer_class == HerReplayBuffer.__name__:  # SB3 chooses its other buffers by itself
        readable["replay_buffer_class"] = buffer_class
    elif buffer_class is None or find_class(buffer_class) is None:
        readable.pop("replay_buffer_kwargs", None)
    return readable


def _is_pickled(value: Any) -> bool:
    return isinstance(value, dict) and ":serialized:" in value


def _read_policy_arguments(data: Mapping[str, Any]) -> dict[str, Any]:
    found = data.get("policy_kwargs")
    if not isinstance(found, dict):
        return {}
    arguments = {name: _read_class_name(value) for name, value in found.items() if not name.startswith(":")}
    arguments.pop("device", None)
    net_arch = arguments.get("net_arch")
    if isinstance(net_arch, list) and net_arch and isinstance(net_arch[0], dict):
        arguments["net_arch"] = net_arch[0]  # as SB3 before 1.8 had it
    return arguments


def _read_class_name(value: Any) -> Any:
    match = _CLASS.fullmatch(value) if isinstance(value, str) else None
    return value if match is None else match[1]


def _choose_policy(
    algorithm_class: type[BaseAlgorithm], data: Mapping[str, Any], observation_space: spaces.Space[Any]
) -> str:
    name, aliases = _read_defining_class(data.get("policy_class")), algorithm_class.policy_aliases
    for alias, policy_class in aliases.items():
        if policy_class.__name__ == name:
            return alias
    kind = "MultiInput" if isinstance(observation_space, spaces.Dict) else "Mlp"
    return next((alias for alias in aliases if alias.startswith(kind)), "MlpPolicy")


def _read_defining_class(described: Any) -> str | None:
    """Read the name of a pickled class, which SB3 adds as the text of its constructor."""
    text = described.get("__init__") if isinstance(described, dict) else None
    match = _METHOD.match(text) if isinstance(text, str) else None
    return None if match is None else match[1]
