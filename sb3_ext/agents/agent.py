"""An agent that was trained, found by what a user names, and the environments that it was trained in."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gymnasium import spaces
from stable_baselines3.common.base_class import BaseAlgorithm
from stable_baselines3.common.vec_env import VecEnv, unwrap_vec_normalize

from sb3_ext.algorithms.algorithm_registry import MASKED_PREFIX
from sb3_ext.building.training_environments import make_eval_env
from sb3_ext.checkpoints.bundle.bundle import Bundle
from sb3_ext.checkpoints.formats.space_json import make_space
from sb3_ext.checkpoints.formats.vecnormalize_file import restore_normalization
from sb3_ext.checkpoints.model_loading import load_model
from sb3_ext.checkpoints.model_source import ModelSource, find_model
from sb3_ext.config import RunConfig, load_config
from sb3_ext.errors import CheckpointError
from sb3_ext.evaluation.space_check import check_spaces


@dataclass(frozen=True)
class AgentSource:
    """
    What an agent is made from.

    :param config: of the run that trained it, or of the environment that was named
    :param model: its checkpoint, or a zip
    :param algorithm: what a zip was trained with that is no checkpoint
    """

    config: RunConfig
    model: ModelSource
    algorithm: str | None = None


@dataclass
class _Spaces:
    observation_space: spaces.Space[Any]
    action_space: spaces.Space[Any]


def find_agent(
    target: str | Path, *, checkpoint: str | None = None, env_id: str | None = None, algorithm: str | None = None
) -> AgentSource:
    """
    Find what a user means.

    :param target: a run directory, the name of a run below ``runs``, a checkpoint, or any zip that SB3 has saved
    :param checkpoint: of a run: ``best``, ``latest`` or a step; the best when left out, the latest if none has a score
    :param env_id: what belongs to no run plays in this environment; a run's agent, in this one instead of its own
    :param algorithm: what a zip was trained with; the agent of a checkpoint has to be of it
    :return: for :func:`load_agent` and :func:`make_agent_env`
    :raises CheckpointError: if it is none of these, there is no such checkpoint, it is damaged, or not what the other
        arguments say
    """
    model = find_model(target, checkpoint)
    chosen = algorithm if model.bundle is None else _choose_algorithm(str(target), model.bundle, algorithm)
    if model.run is not None:
        overrides = [] if env_id is None else [f"env.id={env_id}"]
        return AgentSource(load_config(model.run.paths.resolved_config, overrides), model)
    if env_id is None or chosen is None:
        raise CheckpointError(f"{target}: belongs to no run; say what it plays with --env, what it is with --algo")
    config = load_config({"env": {"id": env_id}, "agent": {"id": chosen}})
    return AgentSource(config, model, chosen if model.bundle is None else None)


def make_agent_env(source: AgentSource, *, num_envs: int | None = None, render_mode: str | None = None) -> VecEnv:
    """
    Environments as in training: the same wrappers, frame stack and normalisation, which stands still.

    :param source: the agent's
    :param num_envs: as many as evaluations in training had, when left out
    :param render_mode: as in Gymnasium
    :return: the environments
    :raises ConfigError: if they cannot be made
    :raises CheckpointError: if the agent does not fit them: says how
    """
    env = make_eval_env(source.config, num_envs=num_envs, render_mode=render_mode)
    bundle = source.model.bundle
    if bundle is not None:
        described = bundle.manifest.model
        check_spaces(_Spaces(make_space(described.observation_space), make_space(described.action_space)), env)
        normalize, statistics = unwrap_vec_normalize(env), bundle.read_normalization()
        if normalize is not None and statistics is not None:
            restore_normalization(normalize, statistics)
            normalize.training = normalize.norm_reward = False
    return env


def load_agent(source: AgentSource, env: VecEnv, *, trust: bool = False) -> BaseAlgorithm:
    """
    :param source: the agent's
    :param env: where it is to play
    :param trust: run whatever code the file brings
    :return: the model
    :raises CheckpointError: if it cannot be loaded, or does not fit the environments: says how
    """
    model = load_model(
        source.model,
        env=env if source.model.bundle is None else None,
        trust=trust,
        algorithm=source.algorithm,
        device=source.config.agent.device or "auto",
    )
    check_spaces(model, env)
    return model


def _choose_algorithm(target: str, bundle: Bundle, algorithm: str | None) -> str | None:
    described = bundle.manifest.model.algorithm
    if described is None:
        return algorithm
    if algorithm not in (None, described.removeprefix(MASKED_PREFIX)):
        raise CheckpointError(f"{target}: its agent is a {described}, not a {algorithm}; leave out --algo")
    return described.removeprefix(MASKED_PREFIX)
