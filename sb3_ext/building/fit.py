"""Validate a configuration with one environment, before a run starts."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from contextlib import closing

from stable_baselines3.common.vec_env import DummyVecEnv, VecEnv

from sb3_ext.algorithms.algorithm_registry import choose_game_algorithm, get_algorithm
from sb3_ext.algorithms.policies import choose_policy, validate_fit, validate_spaces
from sb3_ext.building.game_environments import make_trial_boards
from sb3_ext.building.initial_weights import validate_readable, validate_sizes
from sb3_ext.building.parallel import make_configured_backend
from sb3_ext.building.stages import validate_curriculum
from sb3_ext.building.training_environments import change_env, make_environment_factory, wrap_vec_env
from sb3_ext.config import ConfigSource, Override, RunConfig, locate_problems
from sb3_ext.engines.engine_registry import AUTO_ENGINE, get_engine
from sb3_ext.errors import ConfigError, Sb3ExtError
from sb3_ext.evaluation.space_check import find_space_differences
from sb3_ext.tracking.tracker_registry import make_trackers

logger = logging.getLogger(__name__)


def validate_setup(config: RunConfig, source: ConfigSource | None = None, overrides: Iterable[Override] = ()) -> None:
    """
    Make one environment, compare its spaces with what algorithm, policy, normalisation and frame stack support, and
    close it. Go through the stages of the curriculum. Make the trackers. Read the initial weights, if there are any,
    and compare their sizes.

    Other errors of the environment are ignored here: training reports them.

    :param config: the whole configuration
    :param source: of the configuration, for messages with file and line; ``None`` for keys alone
    :param overrides: that were applied to it
    :raises ConfigError: if the spaces do not fit, the environment cannot be made with these arguments, or the initial
        weights cannot be read
    :raises MissingExtraError: if the environment, the engine or a tracker needs an extra that is not installed
    """
    try:
        make_trackers(config.tracking)
        validate_engine(config)
        validate_readable(config)
        _check(config)
        if config.env is not None:
            validate_curriculum(config, make_environment_factory(config.env))
        _validate_eval_environments(config)
    except ConfigError as error:
        if source is None:
            raise
        raise locate_problems(error, source, overrides) from error
    except Sb3ExtError:
        raise
    except Exception as error:  # the code of any environment runs here
        logger.debug("cannot validate the configuration with an environment: %r", error)


def validate_engine(config: RunConfig) -> None:
    """
    Check that what the engine needs is installed.

    :param config: the whole configuration
    :raises MissingExtraError: if it is not
    """
    if config.agent.engine != AUTO_ENGINE:
        get_engine(config.agent.engine).validate_installed()


def _validate_eval_environments(config: RunConfig) -> None:
    """Make other environments of evaluations once, and compare their spaces with those of training."""
    if config.env is None:
        return
    sections = {"eval": config.eval, **{f"eval.also.{index}": also for index, also in enumerate(config.eval.also)}}
    for key, judged in sections.items():
        changed = change_env(config.env, judged.env)
        if (changed.id, changed.wrappers) == (config.env.id, config.env.wrappers):
            continue
        try:
            trained, other = make_environment_factory(config.env)(), make_environment_factory(changed)()
        except ConfigError as error:
            raise ConfigError(f"{key}.{problem}" for problem in error.problems) from error
        with closing(trained), closing(other):
            differences = find_space_differences(trained, other)
        if differences:
            raise ConfigError(f"{key}.env: other spaces than in training: {'; '.join(differences)}")


def _check(config: RunConfig) -> None:
    algorithm = get_algorithm(config.agent.id)
    if config.game is not None:
        _check_vec_env(config, make_trial_boards(config, 1))
        return
    factory = make_environment_factory(config.require_env("training"))
    sample = make_configured_backend(config.parallel).make_sample(factory)
    if isinstance(sample, VecEnv):
        _check_vec_env(config, sample)
        return
    with closing(sample) as env:
        validate_spaces(algorithm, env.observation_space, env.action_space)  # SB3 cannot make a VecEnv of some of them
        _check_vec_env(config, DummyVecEnv([lambda: env]))


def _check_vec_env(config: RunConfig, env: VecEnv) -> None:
    algorithm = get_algorithm(config.agent.id)
    with closing(env):
        if config.game is not None:
            looks_ahead = config.train.lookahead is not None
            algorithm, wrapped = choose_game_algorithm(algorithm, looks_ahead=looks_ahead), env
        else:
            wrapped = wrap_vec_env(env, config, training=True)
        policy_kwargs = config.agent.params.get("policy_kwargs") or {}
        policy = config.agent.policy or choose_policy(algorithm, wrapped.observation_space, policy_kwargs)
        validate_fit(algorithm, policy, wrapped, policy_kwargs)
        validate_sizes(config, wrapped)
