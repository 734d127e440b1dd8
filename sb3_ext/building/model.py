"""Make the algorithm from the configuration."""

from __future__ import annotations

from typing import Any

from stable_baselines3.common.base_class import BaseAlgorithm
from stable_baselines3.common.vec_env import VecEnv, VecNormalize

from sb3_ext.algorithms.algorithm_registry import choose_game_algorithm, get_algorithm
from sb3_ext.algorithms.parameters import fill_parameters, make_arguments
from sb3_ext.algorithms.policies import choose_policy, validate_fit
from sb3_ext.arguments import import_name
from sb3_ext.building.board_learning import make_board_arguments
from sb3_ext.building.observations import describe_normalization
from sb3_ext.building.parallel import fill_parallel
from sb3_ext.config.schema import EnvConfig, RunConfig
from sb3_ext.engines.attachment import get_engine_id
from sb3_ext.errors import ConfigError, Sb3ExtError, describe_error


def make_model(config: RunConfig, env: VecEnv) -> BaseAlgorithm:
    """
    Make the algorithm.

    :param config: the whole configuration
    :param env: the training environments
    :return: an SB3 model, ready to learn
    :raises ConfigError: if algorithm, policy, spaces and parameters do not fit each other
    """
    agent = config.agent
    algorithm = get_algorithm(agent.id)
    if config.game is not None:
        algorithm = choose_game_algorithm(algorithm, looks_ahead=config.train.lookahead is not None)
    policy_kwargs = agent.params.get("policy_kwargs") or {}
    policy = agent.policy or choose_policy(algorithm, env.observation_space, policy_kwargs)
    validate_fit(algorithm, policy, env, policy_kwargs)
    arguments: dict[str, Any] = make_arguments(algorithm, agent.params, env.action_space)
    arguments |= make_board_arguments(config)
    try:
        return algorithm.load_class()(
            policy=import_name(policy) if ":" in policy else policy,
            env=env,
            seed=config.seed,
            device=_check_device(agent.device or "auto"),
            **arguments,
        )
    except Sb3ExtError:
        raise
    except Exception as error:
        # SB3 raises assertions, or fails in torch.
        is_worded = isinstance(error, AssertionError | NotImplementedError | TypeError | ValueError) and str(error)
        message = " ".join(str(error).split()) if is_worded else describe_error(error)
        raise ConfigError(f"agent: cannot make {agent.id} with these parameters: {message}") from error


def fill_defaults(config: RunConfig) -> RunConfig:
    """
    Write out what is not in the schema, every parameter of the algorithm, and the checkpoints.

    :param config: the whole configuration
    :return: the configuration with these
    """
    agent = config.agent
    params = fill_parameters(get_algorithm(agent.id), agent.params)
    train = config.train.with_checkpoint()
    return config.model_copy(update={"agent": agent.model_copy(update={"params": params}), "train": train})


def fill_config(config: RunConfig, model: BaseAlgorithm) -> RunConfig:
    """
    Fill in everything that the configuration left open: what really runs.

    :param config: the whole configuration
    :param model: made from it
    :return: the configuration with policy, engine, every parameter of the algorithm, what is normalised, and the number
        of workers
    """
    filled = fill_defaults(config)
    agent = filled.agent
    engine = get_engine_id(model)
    policy_kwargs = agent.params.get("policy_kwargs")
    policy = agent.policy or choose_policy(get_algorithm(agent.id), model.observation_space, policy_kwargs)
    return filled.model_copy(
        update={
            "env": _fill_env(config.env, model.get_vec_normalize_env()),
            "agent": agent.model_copy(update={"policy": policy, "engine": engine}),
            "parallel": fill_parallel(config.parallel),
        }
    )


def _fill_env(env: EnvConfig | None, normalize: VecNormalize | None) -> EnvConfig | None:
    if env is None or normalize is None:
        return env
    arguments = {} if isinstance(env.normalize, bool) else env.normalize
    return env.model_copy(update={"normalize": {**arguments, **describe_normalization(normalize)}})


def _check_device(device: str) -> str:
    import torch

    if device.startswith("cuda"):
        index = int(device.partition(":")[2] or 0)
        count = torch.cuda.device_count() if torch.cuda.is_available() else 0
        if index >= count:
            raise ConfigError(f"agent.device: found '{device}', but torch has {count} such devices; use cpu")
    return device
