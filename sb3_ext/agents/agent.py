"""Find and load a trained agent, and make the environments that it plays in."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gymnasium import spaces
from stable_baselines3.common.base_class import BaseAlgorithm
from stable_baselines3.common.vec_env import VecEnv, VecNormalize, unwrap_vec_normalize

from sb3_ext.algorithms.algorithm_registry import MASKED_PREFIX
from sb3_ext.building.run_config import load_run_config, validate_known_code
from sb3_ext.building.training_environments import make_eval_env
from sb3_ext.checkpoints.bundle.bundle import Bundle
from sb3_ext.checkpoints.formats.space_json import make_space
from sb3_ext.checkpoints.formats.vecnormalize_file import capture_normalization, restore_normalization
from sb3_ext.checkpoints.model_loading import load_model
from sb3_ext.checkpoints.model_source import ModelSource, find_model
from sb3_ext.config import ConfigSource, RunConfig, load_config
from sb3_ext.config.rl_zoo.agent_folder import ZooAgent, find_zoo_agent
from sb3_ext.errors import CheckpointError, RunError, describe_error
from sb3_ext.evaluation.space_check import check_spaces


@dataclass(frozen=True)
class AgentSource:
    """
    The source of an agent's model and environments.

    :param config: configuration of the run that trained it, or one made from the given environment and algorithm
    :param model: its checkpoint or zip
    :param algorithm: algorithm of a zip that is not a checkpoint
    :param statistics: a pickle with the statistics of ``VecNormalize``, of an agent that RL Zoo trained
    :param is_from_zoo: whether RL Zoo trained it
    """

    config: RunConfig
    model: ModelSource
    algorithm: str | None = None
    statistics: Path | None = None
    is_from_zoo: bool = False


@dataclass
class _Spaces:
    observation_space: spaces.Space[Any]
    action_space: spaces.Space[Any]


def find_agent(
    target: str | Path,
    *,
    checkpoint: str | None = None,
    env_id: str | None = None,
    algorithm: str | None = None,
    evaluation: str | None = None,
    trust: bool = False,
) -> AgentSource:
    """
    Find an agent by a path or the name of a run.

    :param target: a run directory, the name of a run below ``runs``, a checkpoint, a zip saved by SB3, or the folder of
        an agent that RL Zoo trained
    :param checkpoint: ``best``, ``latest`` or a step of a run; ``None`` for the best, or the latest if none has a score
    :param env_id: environment to play in; required unless the model belongs to a run
    :param algorithm: algorithm of a zip; for a checkpoint, it must match the checkpoint's
    :param evaluation: name of an evaluation of the run, whose environment and episodes replace those of the first one;
        ``None`` for the first
    :param trust: import code that the settings of an agent of RL Zoo, or of a run from the Hub, name
    :return: source for :func:`load_agent` and :func:`make_agent_env`
    :raises CheckpointError: if nothing is found, the checkpoint is damaged, or it contradicts the other arguments
    :raises RunError: if the run has no such evaluation
    """
    zoo_agent = find_zoo_agent(target, checkpoint)
    if zoo_agent is not None:
        if evaluation is not None:
            raise RunError(f"{target}: belongs to RL Zoo, so it has no evaluation '{evaluation}'")
        return _adopt_zoo_agent(zoo_agent, env_id, algorithm, trust)
    model = find_model(target, checkpoint)
    chosen = algorithm if model.bundle is None else _choose_algorithm(str(target), model.bundle, algorithm)
    if model.run is not None:
        overrides = [] if env_id is None else [f"env.id={env_id}"]
        config = load_run_config(model.run.paths, overrides, trust=trust)
        return AgentSource(config if evaluation is None else _choose_evaluation(config, evaluation), model)
    if evaluation is not None:
        raise RunError(f"{target}: does not belong to a run, so it has no evaluation '{evaluation}'")
    if env_id is None or chosen is None:
        raise CheckpointError(
            f"{target}: does not belong to a run; give its environment with --env and its algorithm with --algo"
        )
    config = load_config({"env": {"id": env_id}, "agent": {"id": chosen}})
    return AgentSource(config, model, chosen if model.bundle is None else None)


def _choose_evaluation(config: RunConfig, name: str) -> RunConfig:
    evaluations = config.eval.by_name
    if name not in evaluations:
        raise RunError(f"the run has no evaluation '{name}'; it has {', '.join(evaluations)}")
    return config.model_copy(update={"eval": evaluations[name]})


def make_agent_env(
    source: AgentSource, *, num_envs: int | None = None, render_mode: str | None = None, trust: bool = False
) -> VecEnv:
    """
    Make environments as in training, with the same wrappers, frame stack and normalisation (which is not updated).

    :param source: from :func:`find_agent`
    :param num_envs: number of environments; ``None`` for as many as in the evaluations of the training
    :param render_mode: as in Gymnasium
    :param trust: read the statistics of RL Zoo, a pickle
    :return: the environments
    :raises ConfigError: if they cannot be made
    :raises CheckpointError: if their spaces differ from the agent's, or statistics are not read without ``trust``
    """
    if source.statistics is not None and not trust:
        raise CheckpointError(
            f"{source.statistics}: is a pickle, which can run any code, and the agent needs the statistics in it: "
            "add --trust (trust=True) if you trust its source"
        )
    env = make_eval_env(source.config, num_envs=num_envs, render_mode=render_mode)
    bundle = source.model.bundle
    if bundle is not None:
        described = bundle.manifest.model
        check_spaces(_Spaces(make_space(described.observation_space), make_space(described.action_space)), env)
        normalize, statistics = unwrap_vec_normalize(env), bundle.read_normalization()
        if normalize is not None and statistics is not None:
            restore_normalization(normalize, statistics)
            normalize.training = normalize.norm_reward = False
    if source.statistics is not None:
        _restore_pickled_statistics(env, source.statistics)
    return env


def load_agent(source: AgentSource, env: VecEnv, *, trust: bool = False) -> BaseAlgorithm:
    """
    :param source: from :func:`find_agent`
    :param env: the environments that it will play in
    :param trust: run code that the file contains
    :return: the model
    :raises CheckpointError: if it cannot be loaded, or its spaces differ from those of the environments
    """
    model = load_model(
        source.model,
        env=env if source.model.bundle is None else None,
        # The pickles in a model of RL Zoo name its own classes, which are not needed to play.
        trust=trust and not source.is_from_zoo,
        algorithm=source.algorithm,
        device=source.config.agent.device or "auto",
    )
    check_spaces(model, env)
    return model


def _adopt_zoo_agent(agent: ZooAgent, env_id: str | None, algorithm: str | None, trust: bool) -> AgentSource:
    translation = agent.translation
    if not trust:
        validate_known_code(str(translation.entry.path), translation.content)
    trained = str(translation.content["agent"]["id"])
    if algorithm not in (None, trained, translation.entry.algorithm):
        raise CheckpointError(f"{agent.model_path}: its algorithm is {trained}, not {algorithm}; leave out --algo")
    # One environment, as in rl_zoo3.enjoy: the same seed then plays the same episodes.
    overrides = ["eval.num_envs=1"] if env_id is None else ["eval.num_envs=1", f"env.id={env_id}"]
    config = load_config(
        ConfigSource(str(translation.entry.path), translation.text, lines=translation.lines), overrides
    )
    return AgentSource(config, ModelSource(agent.model_path), trained, agent.statistics_path, is_from_zoo=True)


def _restore_pickled_statistics(env: VecEnv, path: Path) -> None:
    normalize = unwrap_vec_normalize(env)
    if normalize is None:
        return
    try:
        loaded = VecNormalize.load(str(path), normalize.venv)
    except Exception as error:  # a pickle can raise anything
        raise CheckpointError(f"{path}: cannot be loaded: {describe_error(error)}") from error
    restore_normalization(normalize, capture_normalization(loaded))
    normalize.training = normalize.norm_reward = False


def _choose_algorithm(target: str, bundle: Bundle, algorithm: str | None) -> str | None:
    described = bundle.manifest.model.algorithm
    if described is None:
        return algorithm
    if algorithm not in (None, described.removeprefix(MASKED_PREFIX)):
        raise CheckpointError(f"{target}: its algorithm is {described}, not {algorithm}; leave out --algo")
    return described.removeprefix(MASKED_PREFIX)
