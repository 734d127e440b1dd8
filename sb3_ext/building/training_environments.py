"""Make the environments of training and of evaluations."""

from __future__ import annotations

import logging
import math
from collections.abc import Mapping
from contextlib import closing
from typing import Any

import numpy as np
from stable_baselines3.common.env_checker import check_env
from stable_baselines3.common.vec_env import VecEnv

from sb3_ext.algorithms.algorithm_registry import get_algorithm
from sb3_ext.algorithms.parameters import fill_parameters
from sb3_ext.algorithms.space_rules import describe_space
from sb3_ext.building.game_environments import make_game_env, make_game_eval_env, try_game_exactness
from sb3_ext.building.observations import choose_normalization, stack_frames
from sb3_ext.building.parallel import make_configured_backend
from sb3_ext.building.stages import apply_stages, list_stages, merge_params
from sb3_ext.config.evaluation_schema import EvalEnvConfig
from sb3_ext.config.schema import EnvConfig, RunConfig
from sb3_ext.errors import ConfigError, describe_error
from sb3_ext.evaluation.last_frame import LastFrameWrapper
from sb3_ext.internals.sb3 import wrap_env
from sb3_ext.interruption import NEVER, Interruption
from sb3_ext.runs.paths import RunPaths
from sb3_ext.vec.backends.parallel_modes import SEQUENTIAL
from sb3_ext.vec.check_finite import VecCheckFinite
from sb3_ext.vec.closing import killing_new_processes
from sb3_ext.vec.environment_factory import EnvironmentFactory
from sb3_ext.vec.environment_trial import find_first_problem
from sb3_ext.vec.light_vec_normalize import LightVecNormalize
from sb3_ext.vec.snapshots.exactness import FAILED, Exactness

_MAX_EVAL_ENVS = 16
_MAX_EVAL_BOARDS = 512
_EVAL_SEED_DISTANCE = 10_000
_VEC_NORMALIZE_GAMMA = 0.99  # for an algorithm without a discount (ARS)

logger = logging.getLogger(__name__)

_FAILURES_OF_RESULTS = tuple(f"{FAILED}{kind.__name__}(" for kind in (KeyError, TypeError, ValueError))
"""What a self-test finds when wrappers or workers cannot use what an environment returns."""


def make_environment_factory(
    config: EnvConfig, render_mode: str | None = None, *, is_remade: bool = False
) -> EnvironmentFactory:
    """
    :param config: the section ``env``
    :param render_mode: as in Gymnasium
    :param is_remade: whether training may make it again with other arguments
    :return: a picklable function that makes one environment
    """
    wrappers: list[tuple[str, Mapping[str, Any]]] = []
    for wrapper in config.wrappers:
        [(name, arguments)] = [(wrapper, None)] if isinstance(wrapper, str) else wrapper.items()
        wrappers.append((name, arguments or {}))
    return EnvironmentFactory(config.id, config.params, config.max_steps, tuple(wrappers), render_mode, is_remade)


def make_training_factory(config: RunConfig, feature: str, render_mode: str | None = None) -> EnvironmentFactory:
    """
    :param config: the whole configuration
    :param feature: what needs a Gymnasium environment
    :param render_mode: as in Gymnasium
    :return: a picklable function that makes one environment of the training, which a curriculum may make again
    :raises ConfigError: if this is a game
    """
    is_remade = any(stage.params for stage in config.train.curriculum)
    return make_environment_factory(config.require_env(feature), render_mode, is_remade=is_remade)


def validate_environment(config: RunConfig) -> None:
    """
    Make the environment once and run SB3's ``check_env`` on it; for a game, test whether boards resume exactly.

    :param config: the whole configuration
    :raises ConfigError: with the mistake that is found
    """
    if config.game is not None:
        exactness = try_game_exactness(config)
        if not exactness.exact:
            raise ConfigError(f"game.id: {config.game.id} cannot be resumed exactly: {exactness.reason}")
        return
    section = config.require_env("this check")
    factory, backend = make_environment_factory(section), make_configured_backend(config.parallel)
    if not backend.has_single_environments(factory):
        _try_batch(backend.make_eval_env(factory, 2))
        return
    _validate_results(config, factory)
    env = factory()
    try:
        check_env(env, skip_render_check=True)
    except Exception as error:
        message = " ".join(str(error).split()) if isinstance(error, AssertionError) else describe_error(error)
        raise ConfigError(f"env.id: {section.id} is not a valid environment: {message}") from error
    finally:
        env.close()


def _try_batch(env: VecEnv) -> None:
    """Check spaces and outputs of environments that cannot be made one by one."""
    try:
        observations = env.reset()
        actions = np.array([env.action_space.sample() for _ in range(env.num_envs)])
        for found in (observations, env.step(actions)[0]):
            for index in range(env.num_envs):
                row = {key: part[index] for key, part in found.items()} if isinstance(found, dict) else found[index]
                if not env.observation_space.contains(row):
                    raise ConfigError(f"env.id: an observation is not in {env.observation_space}: {row}")
    finally:
        env.close()


def make_env(
    config: RunConfig, paths: RunPaths, *, render_mode: str | None = None, resumed: bool = False, rank: int = 0
) -> VecEnv:
    """
    Make the training environments, with the wrappers of the section ``env``.

    :param config: the whole configuration
    :param paths: of the run, for ``N.monitor.csv`` and the opponent pool of a game
    :param render_mode: as in Gymnasium
    :param resumed: append to those files instead of replacing them
    :param rank: index of this process; only rank 0 writes episodes
    :return: ``parallel.num_envs`` environments
    :raises ConfigError: if they cannot be made
    """
    if config.game is not None:
        _validate_not_shown(config, render_mode)
        return make_game_env(config, paths.monitor / "0" if rank == 0 else None, paths.opponents, resumed=resumed)
    factory = make_training_factory(config, "training", render_mode)
    with killing_new_processes():
        env = make_configured_backend(config.parallel).make_env(
            factory, seed=config.seed, monitor_directory=paths.monitor if rank == 0 else None, resumed=resumed
        )
    return wrap_vec_env(env, config, training=True)


def try_exactness(config: RunConfig, interruption: Interruption = NEVER) -> Exactness:
    """
    :param config: the whole configuration
    :param interruption: checked before each step
    :return: whether the training environments resume exactly
    :raises ConfigError: if ``reset`` or ``step`` returns something that Gymnasium's API does not allow
    :raises StopRequested: if ``interruption`` says so
    """
    if config.game is not None:
        return try_game_exactness(config, interruption)
    factory = make_training_factory(config, "a self-test")
    backend = make_configured_backend(config.parallel)
    if backend.name == SEQUENTIAL:
        _validate_results(config, factory)
    exactness = backend.test_exactness(factory, interruption)
    if exactness.reason.startswith(_FAILURES_OF_RESULTS) and backend.has_single_environments(factory):
        _validate_results(config, factory)
    return exactness


def _validate_results(config: RunConfig, factory: EnvironmentFactory) -> None:
    with closing(factory()) as env:
        try:
            problem = find_first_problem(env)
        except Exception as error:  # the environment may raise anything; training reports it
            logger.debug("cannot try the environment: %r", error)
            return
    if problem is not None:
        raise ConfigError(f"env.id: {config.require_env('training').id}: {problem}")


def make_eval_env(
    config: RunConfig, *, num_envs: int | None = None, render_mode: str | None = None, stage: int | None = None
) -> VecEnv:
    """
    Make the environments of an evaluation, like those of training, in the calling process.

    With a curriculum, they have the changes of all its stages.

    :param config: the whole configuration
    :param num_envs: number of environments; ``None``: as in the evaluations during training
    :param render_mode: as in Gymnasium
    :param stage: number of the curriculum's stage, for an evaluation in the current one; ``None``: the last one
    :return: environments with unscaled rewards; a ``VecNormalize`` among them does not update and has no statistics yet
    :raises ConfigError: if they cannot be made
    """
    num_envs = num_envs or count_eval_envs(config)
    if config.game is not None:
        _validate_not_shown(config, render_mode)
        return make_game_eval_env(config, num_envs)
    trained = config.require_env("an evaluation")
    stages = list_stages(config, config.eval, stage)
    trained = trained.model_copy(update={"params": merge_params(trained.params, stages)})
    factory = make_environment_factory(change_env(trained, config.eval.env), render_mode)
    env = make_configured_backend(config.parallel).make_eval_env(
        factory, num_envs, wrapper_class=LastFrameWrapper if render_mode == "rgb_array" else None
    )
    apply_stages(env, stages)
    return wrap_vec_env(env, config, training=False)


def change_env(trained: EnvConfig, changes: EvalEnvConfig) -> EnvConfig:
    """
    :param trained: the environment of training
    :param changes: what is different in an evaluation
    :return: the environment of the evaluation
    """
    is_other = changes.id not in (None, trained.id)
    update = {
        "id": changes.id,
        "params": changes.params if is_other else {**trained.params, **changes.params},
        "max_steps": changes.max_steps,
        "wrappers": changes.wrappers,
    }
    return trained.model_copy(update={key: value for key, value in update.items() if value is not None})


def count_eval_envs(config: RunConfig, episodes: int | None = None) -> int:
    """
    :param config: the whole configuration
    :param episodes: of the evaluation; ``None``: as during training
    :return: number of environments, all of which play the same number of episodes, or one less; the episodes of a seed
        depend on it
    """
    if config.eval.num_envs is not None:
        return config.eval.num_envs
    episodes = episodes or config.eval.episodes
    rounds = math.ceil(episodes / (_MAX_EVAL_ENVS if config.game is None else _MAX_EVAL_BOARDS))
    return math.ceil(episodes / rounds)


def choose_eval_seed(config: RunConfig) -> int:
    """
    :param config: the whole configuration
    :return: the seed of every evaluation during training: always the same episodes, different from those of training
    """
    return (config.seed or 0) + _EVAL_SEED_DISTANCE


def wrap_vec_env(env: VecEnv, config: RunConfig, training: bool) -> VecEnv:
    """
    Add the check for NaN, and the frame stack and normalisation of the section ``env``.

    :param env: the environments
    :param config: the whole configuration
    :param training: whether they are for training; in an evaluation, rewards are not scaled and statistics not
        updated
    :return: the environments
    :raises ConfigError: if their observations cannot be stacked or normalised
    """
    section = config.require_env("what goes around environments")
    env = VecCheckFinite(env, section.id)  # innermost: the stack and statistics would keep a NaN
    # Normalisation outside the stack: off-policy algorithms store the observations just inside it.
    if section.frame_stack is not None:
        env = stack_frames(env, section.frame_stack)
    if section.normalize:
        algorithm = get_algorithm(config.agent.id)
        if algorithm.is_off_policy and env.observation_space.shape == ():
            # At the end of an episode OffPolicyAlgorithm takes such an observation for an array.
            raise ConfigError(
                f"env.normalize: {algorithm.id} cannot be trained with VecNormalize on observations in "
                f"{describe_space(env.observation_space)}, not even on normalised rewards alone; leave it out"
            )
        arguments = choose_normalization(section.normalize, env.observation_space)
        params = fill_parameters(algorithm, config.agent.params, with_inherited=True)
        arguments.setdefault("gamma", params.get("gamma", _VEC_NORMALIZE_GAMMA))
        if not training:
            arguments["norm_reward"] = False
        # Images are transposed inside: off-policy algorithms store them as they come from there.
        env = LightVecNormalize(wrap_env(env), training=training, **arguments)
    # SB3 wraps the training environments itself; these need the same.
    return env if training else wrap_env(env)


def _validate_not_shown(config: RunConfig, render_mode: str | None) -> None:
    if render_mode is not None:
        raise ConfigError(
            f"--render and --video show Gymnasium environments, but this is the game {config.task_id}; "
            "`sb3-ext enjoy RUN --human` shows its board in the terminal"
        )
