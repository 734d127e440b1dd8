"""From the configuration to the objects that train: with :mod:`sb3_ext.training` the only reader of the config."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from stable_baselines3.common.base_class import BaseAlgorithm
from stable_baselines3.common.callbacks import BaseCallback
from stable_baselines3.common.env_checker import check_env
from stable_baselines3.common.env_util import make_vec_env
from stable_baselines3.common.vec_env import (
    DummyVecEnv,
    SubprocVecEnv,
    VecEnv,
    VecFrameStack,
    VecNormalize,
    sync_envs_normalization,
    unwrap_vec_normalize,
)

from sb3_ext.algorithms.parameters import build_parameters, fill_parameters
from sb3_ext.algorithms.policies import check_fit, choose_policy
from sb3_ext.algorithms.registry import get_algorithm
from sb3_ext.arguments import import_name
from sb3_ext.callbacks import (
    EpisodeBudgetCallback,
    EpisodeLoggingCallback,
    HeartbeatCallback,
    MetricsCallback,
    PhaseCallback,
    ProgressCallback,
    QValuesCallback,
    SignalStopCallback,
    StopFileCallback,
    TimeBudgetCallback,
)
from sb3_ext.config.schema import EnvConfig, RunConfig
from sb3_ext.errors import ConfigError
from sb3_ext.phases import Phases
from sb3_ext.runs.session import RunSession
from sb3_ext.vec.environments import EnvironmentFactory

_MAX_EVAL_ENVS = 8
_VEC_NORMALIZE_GAMMA = 0.99  # for an algorithm without a discount of its own (ARS)


def make_environment_factory(config: EnvConfig, render_mode: str | None = None) -> EnvironmentFactory:
    """
    :param config: the section ``env``
    :param render_mode: as in Gymnasium
    :return: a picklable function that makes one environment
    """
    wrappers: list[tuple[str, Mapping[str, Any]]] = []
    for wrapper in config.wrappers:
        [(name, arguments)] = [(wrapper, None)] if isinstance(wrapper, str) else wrapper.items()
        wrappers.append((name, arguments or {}))
    return EnvironmentFactory(config.id, config.params, config.max_steps, tuple(wrappers), render_mode)


def check_environment(config: EnvConfig) -> None:
    """
    Make the environment once and run SB3's ``check_env`` on it.

    :param config: the section ``env``
    :raises ConfigError: with what SB3 finds wrong
    """
    env = make_environment_factory(config)()
    try:
        check_env(env, skip_render_check=True)
    except (AssertionError, AttributeError, KeyError, TypeError, ValueError) as error:
        raise ConfigError(f"env.id: {config.id} is no sound environment: {error}") from error
    finally:
        env.close()


def make_env(config: RunConfig, monitor_directory: Path) -> VecEnv:
    """
    The training environments, with everything that the section ``env`` puts around them.

    :param config: the whole configuration
    :param monitor_directory: where each environment's ``N.monitor.csv`` goes
    :return: ``parallel.num_envs`` environments
    :raises ConfigError: if they cannot be made
    """
    factory = make_environment_factory(config.env)
    is_subproc = config.parallel.mode == "subproc"
    if is_subproc:
        factory().close()  # a mistake shows here as itself, not as a closed pipe
    env: VecEnv = make_vec_env(
        factory,
        n_envs=config.parallel.num_envs,
        seed=config.seed,
        monitor_dir=str(monitor_directory),
        vec_env_cls=SubprocVecEnv if is_subproc else DummyVecEnv,
    )
    return _wrap_vec_env(env, config, is_training=True)


def make_eval_env(config: RunConfig, training_env: VecEnv | None) -> VecEnv:
    """
    Environments of an evaluation's own, built like those of training, in this process.

    :param config: the whole configuration
    :param training_env: where the normalisation statistics are copied from
    :return: environments whose statistics stand still and whose rewards are the game's own
    """
    num_envs = min(config.eval.episodes, _MAX_EVAL_ENVS)
    env: VecEnv = make_vec_env(make_environment_factory(config.env), n_envs=num_envs, seed=config.seed)
    env = _wrap_vec_env(env, config, is_training=False)
    if training_env is not None and unwrap_vec_normalize(env) is not None:
        sync_envs_normalization(training_env, env)
    return env


def _wrap_vec_env(env: VecEnv, config: RunConfig, is_training: bool) -> VecEnv:
    # Normalisation goes around the stack: off-policy algorithms store what is just inside it.
    if config.env.frame_stack is not None:
        env = VecFrameStack(env, config.env.frame_stack)
    if config.env.normalize:
        arguments = {} if config.env.normalize is True else dict(config.env.normalize)
        params = fill_parameters(get_algorithm(config.agent.id), config.agent.params)
        arguments.setdefault("gamma", params.get("gamma", _VEC_NORMALIZE_GAMMA))
        if not is_training:
            arguments["norm_reward"] = False
        env = VecNormalize(env, training=is_training, **arguments)
    # What SB3 puts around the training environments itself, it is to find around these too.
    return env if is_training else BaseAlgorithm._wrap_env(env)


def make_model(config: RunConfig, env: VecEnv) -> BaseAlgorithm:
    """
    The algorithm, ready to learn.

    :param config: the whole configuration
    :param env: the training environments
    :return: a stock SB3 model
    :raises ConfigError: if policy, action space, environment and parameters do not fit each other
    """
    agent = config.agent
    algorithm = get_algorithm(agent.id)
    policy = agent.policy or choose_policy(algorithm, env.observation_space)
    check_fit(algorithm, policy, env)
    arguments: dict[str, Any] = build_parameters(algorithm, agent.params, env.action_space)
    try:
        return algorithm.load_class()(
            policy=import_name(policy) if ":" in policy else policy,
            env=env,
            seed=config.seed,
            device=_check_device(agent.device or "auto"),
            **arguments,
        )
    except (AssertionError, NotImplementedError, TypeError, ValueError) as error:
        # SB3 checks its arguments by assertions and by failing.
        raise ConfigError(f"agent: {agent.id} cannot be made with these parameters: {error}") from error


def make_callbacks(
    config: RunConfig, session: RunSession, phases: Phases, metrics: MetricsCallback
) -> list[BaseCallback]:
    """
    What goes on beside training, in the order in which it is called.

    :param config: the whole configuration
    :param session: the run that trains
    :param phases: what the run is doing; shared with whoever goes on after ``learn``
    :param metrics: likewise
    :return: the callbacks; the stop file is looked at before the signals, since ``runs stop`` uses both
    """
    train = config.train
    # A partial off-policy rollout has dropped a transition, and the next boundary is only a few steps away.
    at_boundary = get_algorithm(config.agent.id).is_off_policy
    callbacks: list[BaseCallback] = [
        PhaseCallback(phases),
        QValuesCallback(),
        EpisodeLoggingCallback(train.log_every_episodes, total_steps=train.total_steps),
        metrics,
        HeartbeatCallback(session.status, train.status_every_steps, phases, train.total_steps),
        ProgressCallback(train.total_steps),
        StopFileCallback(session.paths.stop, at_boundary=at_boundary),
        SignalStopCallback(session.signals, at_boundary=at_boundary),
    ]
    if train.total_episodes is not None:
        callbacks.append(EpisodeBudgetCallback(train.total_episodes, at_boundary=at_boundary))
    if train.duration_seconds is not None:
        callbacks.append(TimeBudgetCallback(train.duration_seconds, at_boundary=at_boundary))
    return callbacks


def fill_config(config: RunConfig, model: BaseAlgorithm) -> RunConfig:
    """
    The configuration with what was left to the program filled in: what really runs.

    :param config: the whole configuration
    :param model: made from it
    :return: the same with the policy chosen and every parameter of the algorithm
    """
    agent = config.agent
    algorithm = get_algorithm(agent.id)
    policy = agent.policy or choose_policy(algorithm, model.observation_space)
    params = fill_parameters(algorithm, agent.params)
    return config.model_copy(update={"agent": agent.model_copy(update={"policy": policy, "params": params})})


def _check_device(device: str) -> str:
    import torch

    if device.startswith("cuda"):
        index = int(device.partition(":")[2] or 0)
        count = torch.cuda.device_count() if torch.cuda.is_available() else 0
        if index >= count:
            raise ConfigError(f"agent.device: '{device}' asked for, but torch sees {count} such devices; use cpu")
    return device
