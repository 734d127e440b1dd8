"""Estimate the memory that each part of a training takes."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any

import numpy as np
from gymnasium import spaces
from stable_baselines3.common.preprocessing import get_action_dim, get_obs_shape

from sb3_ext.algorithms.algorithm_registry import get_algorithm
from sb3_ext.algorithms.parameters import fill_parameters
from sb3_ext.building.parallel import make_configured_backend
from sb3_ext.building.training_environments import count_eval_envs
from sb3_ext.config.schema import RunConfig
from sb3_ext.problems import describe_bytes
from sb3_ext.vec.backends.memory_part import MemoryPart

_BYTES_PER_PARAMETER = 16  # a weight, its gradient, and two numbers of Adam
_FLOAT_BYTES = 4
_LARGE_STACK = 1000


@dataclass(frozen=True)
class EnvironmentSize:
    """
    :param observation_space: of one environment
    :param action_space: of one environment
    :param size_bytes: memory that one environment takes
    """

    observation_space: spaces.Space[Any]
    action_space: spaces.Space[Any]
    size_bytes: int


def estimate_memory(config: RunConfig, size: EnvironmentSize) -> list[MemoryPart]:
    """
    :param config: the whole configuration
    :param size: of one environment
    :return: an estimate of each part
    """
    stack = (config.env.frame_stack if config.env is not None else None) or 1
    observation_bytes = stack * _count_observation_bytes(size.observation_space)
    params = fill_parameters(get_algorithm(config.agent.id), config.agent.params, with_inherited=True)
    inputs = stack * _count_numbers(size.observation_space)
    outputs = _count_actions(size.action_space)
    parts = [
        *_estimate_environments(config, size.size_bytes, observation_bytes),
        *_estimate_buffers(config, params, observation_bytes, inputs, outputs),
        *_estimate_learning(config, params, inputs, outputs),
    ]
    return parts if stack < _LARGE_STACK else [replace(part, key="env.frame_stack") for part in parts]


def _estimate_environments(config: RunConfig, env_bytes: int, observation_bytes: int) -> Iterator[MemoryPart]:
    noun = "environments" if config.game is None else "boards"
    each = env_bytes + 4 * observation_bytes  # in the environment, the VecEnv, the stack, and the last observations
    yield from make_configured_backend(config.parallel).estimate_memory(each, noun)
    judging = count_eval_envs(config)
    yield MemoryPart(
        "eval.num_envs",
        f"{judging:,} {noun} of evaluations",
        judging * each,
        is_own=not config.eval.background,
        is_filled_at_once=True,
    )


def _estimate_buffers(
    config: RunConfig, params: Mapping[str, Any], observation_bytes: int, inputs: int, outputs: int
) -> Iterator[MemoryPart]:
    algorithm = get_algorithm(config.agent.id)
    buffer_size, n_steps, num_envs = (
        _get_int(params, "buffer_size"),
        _get_int(params, "n_steps"),
        config.parallel.num_envs,
    )
    if algorithm.is_off_policy and buffer_size:
        observations = 1 if params.get("optimize_memory_usage") else 2
        # Reward, end and truncation, and the action: a 64-bit integer, or floats.
        numbers = 3 + (2 if "Discrete" in algorithm.action_spaces else outputs)
        her_bytes = 32 if "her" in str(params.get("replay_buffer_class")).lower() else 0
        each = observations * observation_bytes + numbers * _FLOAT_BYTES + her_bytes
        yield MemoryPart(
            "agent.params.buffer_size",
            f"a replay buffer of {buffer_size:,} transitions of {describe_bytes(each)}",
            max(buffer_size, num_envs) * each,
        )
    elif n_steps and not algorithm.is_off_policy:
        if config.env is not None and config.env.normalize:
            observation_bytes = max(observation_bytes, inputs * _FLOAT_BYTES)
        masks = outputs if algorithm.needs_action_masks else 0
        states = 4 * _get_policy_int(params, "lstm_hidden_size", 256) if algorithm.family == "recurrent_ppo" else 0
        each = observation_bytes + (6 + outputs + masks + states) * _FLOAT_BYTES
        yield MemoryPart(
            "agent.params.n_steps" if n_steps >= num_envs else "parallel.num_envs",
            f"a rollout of {n_steps:,} × {num_envs:,} steps of {describe_bytes(each)}",
            n_steps * num_envs * (each + observation_bytes),  # the largest array is copied where it is flattened
        )


def _estimate_learning(config: RunConfig, params: Mapping[str, Any], inputs: int, outputs: int) -> Iterator[MemoryPart]:
    algorithm = get_algorithm(config.agent.id)
    layers = list(_get_layers(params))
    quantiles = _get_policy_int(params, "n_quantiles", 1)
    parameters = sum(_count_parameters([inputs, *sizes, outputs * quantiles]) for sizes in layers)
    hidden = _get_policy_int(params, "lstm_hidden_size", 0)
    parameters += 2 * 4 * hidden * (hidden + inputs)
    if parameters:
        yield MemoryPart(
            "agent.params.policy_kwargs",
            f"networks of {parameters:,} weights",
            parameters * _BYTES_PER_PARAMETER,
            is_filled_at_once=True,
        )
    if algorithm.ignores_callbacks and (deltas := _get_int(params, "n_delta")):
        size_bytes = 2 * deltas * max(parameters, inputs * outputs) * _FLOAT_BYTES
        yield MemoryPart("agent.params.n_delta", f"{deltas:,} candidates", size_bytes)
    batch_size = _get_int(params, "batch_size")
    if batch_size:
        rows = batch_size
        if not algorithm.is_off_policy:
            rows = min(batch_size, (_get_int(params, "n_steps") or 1) * config.parallel.num_envs)
        numbers = 2 * inputs + 3 * sum(sum(sizes) for sizes in layers)
        size_bytes = rows * numbers * _FLOAT_BYTES
        yield MemoryPart("agent.params.batch_size", f"a minibatch of {rows:,} rows", size_bytes)


def _count_observation_bytes(space: spaces.Space[Any]) -> int:
    if isinstance(space, spaces.Dict):
        return sum(map(_count_observation_bytes, space.spaces.values()))
    return _count_numbers(space) * np.dtype(space.dtype or np.float32).itemsize


def _count_numbers(space: spaces.Space[Any]) -> int:
    if isinstance(space, spaces.Dict):
        return sum(map(_count_numbers, space.spaces.values()))
    try:
        shape = get_obs_shape(space)
    except NotImplementedError:  # SB3 refuses such a space later
        return 1
    return math.prod(shape) if isinstance(shape, tuple) else 1


def _count_actions(space: spaces.Space[Any]) -> int:
    if isinstance(space, spaces.Discrete):
        return int(space.n)
    if isinstance(space, spaces.MultiDiscrete):
        return int(np.sum(space.nvec))
    try:
        return int(get_action_dim(space))
    except (AssertionError, NotImplementedError):
        return 1


def _get_layers(params: Mapping[str, Any]) -> Iterator[list[int]]:
    """List the hidden layers of each network in ``net_arch``."""
    policy_kwargs = params.get("policy_kwargs")
    net_arch = policy_kwargs.get("net_arch") if isinstance(policy_kwargs, Mapping) else None
    for sizes in net_arch.values() if isinstance(net_arch, Mapping) else [net_arch]:
        if isinstance(sizes, list) and all(isinstance(size, int) and size > 0 for size in sizes):
            yield sizes


def _count_parameters(sizes: Sequence[int]) -> int:
    return sum(before * after for before, after in pairwise(sizes))


def _get_policy_int(params: Mapping[str, Any], name: str, default: int) -> int:
    policy_kwargs = params.get("policy_kwargs")
    return (_get_int(policy_kwargs, name) if isinstance(policy_kwargs, Mapping) else 0) or default


def _get_int(params: Mapping[str, Any], name: str) -> int:
    value = params.get(name)
    return int(value) if isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value) else 0
