"""The weights that ``agent.init_from`` names: check before a run starts whether they can fit."""

from __future__ import annotations

from typing import Any

import yaml
from gymnasium import spaces
from stable_baselines3.common.vec_env import VecEnv

from sb3_ext.algorithms.algorithm_registry import MASKED_PREFIX
from sb3_ext.checkpoints.formats.space_json import make_space
from sb3_ext.checkpoints.model_loading import read_policy_weights
from sb3_ext.checkpoints.model_source import ModelSource, find_model
from sb3_ext.config import RunConfig
from sb3_ext.errors import ConfigError, Sb3ExtError


def validate_readable(config: RunConfig) -> None:
    """
    :param config: the whole configuration
    :raises ConfigError: if there are initial weights, and they cannot be read
    """
    if config.agent.init_from is None:
        return
    try:
        read_policy_weights(find_model(config.agent.init_from))
    except Sb3ExtError as error:
        raise ConfigError(f"agent.init_from: {error}") from error


def validate_sizes(config: RunConfig, env: VecEnv) -> None:
    """
    Compare the sizes of observations and actions; bounds may differ. Whether all weights fit is checked when the model
    is made.

    :param config: the whole configuration
    :param env: with all wrappers
    :raises ConfigError: if the initial weights are of a checkpoint of this package and cannot fit
    """
    if config.agent.init_from is None:
        return
    source = find_model(config.agent.init_from)
    described = None if source.bundle is None else source.bundle.manifest.model
    if described is None or described.policy is None:  # a custom policy may take other sizes
        return
    pairs = (
        (make_space(described.observation_space), env.observation_space),
        (make_space(described.action_space), env.action_space),
    )
    if any(_measure(ours) != _measure(theirs) for ours, theirs in pairs):
        raise ConfigError(f"agent.init_from: the weights cannot fit: {describe_origin(config, source)}")


def describe_origin(config: RunConfig, source: ModelSource) -> str | None:
    """
    :param config: of the new run
    :param source: of the initial weights
    :return: algorithm and environment of both, as far as they are known; ``None`` for a zip that is not a checkpoint
    """
    if source.bundle is None:
        return None
    algorithm = source.bundle.manifest.model.algorithm
    trained = "another algorithm" if algorithm is None else algorithm.removeprefix(MASKED_PREFIX)
    task = None if source.run is None else _read_task(source.run.paths.resolved_config.read_text(encoding="utf-8"))
    place = "" if task is None else f" on {task}"
    return f"{config.agent.init_from} is {trained}{place}; this is {config.agent.id} on {config.task_id}"


def _read_task(resolved_config: str) -> str | None:
    content = yaml.safe_load(resolved_config)
    section = content.get("game") or content.get("env") or {}
    return None if section.get("id") is None else str(section["id"])


def _measure(space: spaces.Space[Any]) -> tuple[type, int]:
    return type(space), spaces.flatdim(space)
