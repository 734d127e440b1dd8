"""Validate that a training fits into memory, before anything large is allocated."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from typing import Any

import numpy as np
import psutil
from gymnasium import spaces

from sb3_ext.algorithms.algorithm_registry import get_algorithm
from sb3_ext.building.game_environments import make_configured_game
from sb3_ext.building.memory_estimate import EnvironmentSize, estimate_memory
from sb3_ext.building.parallel import make_configured_backend
from sb3_ext.building.training_environments import count_eval_envs, make_environment_factory
from sb3_ext.config.schema import RunConfig
from sb3_ext.errors import ConfigError
from sb3_ext.problems import describe_bytes
from sb3_ext.runs.memory_limits import MemoryLimit, list_memory_limits
from sb3_ext.selfplay.opponents.opponent_registry import make_opponent
from sb3_ext.selfplay.seats.self_play_env import SelfPlayVecEnv
from sb3_ext.vec.backends.environment_backend import EnvironmentBackend
from sb3_ext.vec.backends.memory_part import MemoryPart
from sb3_ext.vec.environment_factory import EnvironmentFactory
from sb3_ext.vec.global_random import get_global_random_state, set_global_random_state

logger = logging.getLogger(__name__)

_LEAST_ENVIRONMENT_BYTES = 8 * 2**10  # CartPole with Gymnasium's wrappers, a Monitor, and what SB3 keeps beside it
_LEAST_BOARD_BYTES = 2**10
_MANY_ENVIRONMENTS = 64
_MAX_TRIED = 8
_MAX_TRYING_SECONDS = 0.5
_SMALL_SHARE = 0.05
_NO_MEMORY = ("can't allocate memory", "cannot allocate memory", "not enough memory", "out of memory")


_GUESS = EnvironmentSize(spaces.Box(0, 255, (2**10,), np.uint8), spaces.Discrete(2), 2**20)


def validate_memory(config: RunConfig, *, copies: int = 1) -> None:
    """
    Refuse a training that needs more memory than is available. Makes environments only if the numbers are large.

    :param config: the whole configuration
    :param copies: number of such trainings at the same time
    :raises ConfigError: if memory does not suffice; with the figures and the key to change
    """
    limits = list_memory_limits()
    guessed = copies * sum(part.size_bytes for part in estimate_memory(config, _GUESS))
    num_envs = max(config.parallel.num_envs, count_eval_envs(config))
    if guessed < min(limit.free_bytes for limit in limits) / 4 and num_envs < _MANY_ENVIRONMENTS:
        return
    size = measure_environment(config)
    if size is not None:
        _compare(estimate_memory(config, size), limits, copies)


def validate_buffers(config: RunConfig, observation_space: spaces.Space[Any], action_space: spaces.Space[Any]) -> None:
    """
    :func:`validate_memory` for environments that exist already.

    :param config: the whole configuration
    :param observation_space: of one environment, as the algorithm receives it
    :param action_space: of one environment
    :raises ConfigError: with the figures and the key to change
    """
    unstacked = config.model_copy(
        update={"env": None if config.env is None else config.env.model_copy(update={"frame_stack": None})}
    )
    parts = estimate_memory(unstacked, EnvironmentSize(observation_space, action_space, 0))
    _compare([part for part in parts if not part.is_filled_at_once], list_memory_limits(), 1)


@contextmanager
def explaining_memory_errors(config: RunConfig) -> Iterator[None]:
    """
    Translate a failed allocation into an error of the configuration.

    :param config: the whole configuration
    :raises ConfigError: if an allocation fails
    """
    try:
        yield
    except (MemoryError, RuntimeError, OSError) as error:
        text = " ".join(str(error).split())
        if not isinstance(error, MemoryError) and not any(words in text.lower() for words in _NO_MEMORY):
            raise
        keys = dict.fromkeys(
            part.key for part in sorted(estimate_memory(config, _GUESS), key=lambda part: -part.size_bytes)
        )
        advice = ", ".join(list(keys)[:3])
        raise ConfigError(
            f"not enough memory for this training: {text or 'an allocation failed'}; lower {advice}"
        ) from error


def measure_environment(config: RunConfig) -> EnvironmentSize | None:
    """
    Make some environments, for at most half a second, and measure the memory that they take.

    :param config: the whole configuration
    :return: the size of one environment; ``None`` if it fails, which training reports
    """
    random_state = get_global_random_state()
    try:
        if config.game is not None:
            return _measure_boards(config)
        factory = make_environment_factory(config.require_env("training"))
        backend = make_configured_backend(config.parallel)
        if backend.has_single_environments(factory):
            return _measure_environments(factory)
        return _measure_batch(backend, factory)
    except Exception as error:  # the user's environment may raise anything
        logger.debug("cannot measure the memory of an environment: %r", error)
        return None
    finally:
        set_global_random_state(random_state)


def _measure_environments(factory: EnvironmentFactory) -> EnvironmentSize:
    made = [factory()]  # the first one also imports modules
    try:
        made[0].reset()
        before, until = _measure_own_bytes(), time.monotonic() + _MAX_TRYING_SECONDS
        while len(made) == 1 or (len(made) <= _MAX_TRIED and time.monotonic() < until):
            made.append(factory())
            made[-1].reset()
        each = (_measure_own_bytes() - before) // (len(made) - 1)
        return EnvironmentSize(made[0].observation_space, made[0].action_space, max(each, _LEAST_ENVIRONMENT_BYTES))
    finally:
        for env in made:
            env.close()


def _measure_batch(backend: EnvironmentBackend, factory: EnvironmentFactory) -> EnvironmentSize:
    with closing(backend.make_eval_env(factory, 1)) as one:  # it also imports modules
        one.reset()
        before = _measure_own_bytes()
        with closing(backend.make_eval_env(factory, 1 + _MAX_TRIED)) as some:
            some.reset()
            each = (_measure_own_bytes() - before) // some.num_envs
            return EnvironmentSize(one.observation_space, one.action_space, max(each, _LEAST_ENVIRONMENT_BYTES))


def _measure_boards(config: RunConfig) -> EnvironmentSize:
    one = make_configured_game(config, 1)
    before = _measure_own_bytes()
    some = make_configured_game(config, 1 + _MANY_ENVIRONMENTS)
    each = (_measure_own_bytes() - before) // some.num_boards
    opponent, in_observation = make_opponent("random", seed=0), get_algorithm(config.agent.id).observes_masks
    boards = SelfPlayVecEnv(one, opponent, masks_in_observation=in_observation, seed=0)
    return EnvironmentSize(boards.observation_space, boards.action_space, max(each, _LEAST_BOARD_BYTES))


def _measure_own_bytes() -> int:
    own: int = psutil.Process().memory_full_info().uss
    return own


def _compare(parts: Sequence[MemoryPart], limits: Sequence[MemoryLimit], copies: int) -> None:
    for limit in sorted(limits, key=lambda limit: limit.free_bytes):  # so that a message names the tightest
        counted = [part for part in parts if part.is_own or limit.has_children]
        times = copies if limit.has_children else 1
        at_once = [part for part in counted if part.is_filled_at_once]
        # Address space counts when it is allocated, not when it is filled.
        capacity = limit.total_bytes if limit.has_children else limit.free_bytes
        if times * _sum_up(counted) > capacity:
            raise ConfigError(_explain(counted, limit, times))
        if times * _sum_up(at_once) > limit.free_bytes:
            raise ConfigError(_explain(at_once, limit, times))
        if times * _sum_up(counted) > limit.free_bytes:
            logger.warning("%s", _explain(counted, limit, times))


def _explain(parts: Sequence[MemoryPart], limit: MemoryLimit, copies: int) -> str:
    total = _sum_up(parts)
    ranked = sorted(parts, key=lambda part: -part.size_bytes)
    shown = [part for part in ranked if part is ranked[0] or part.size_bytes >= _SMALL_SHARE * total]
    listed = ", ".join(f"{describe_bytes(part.size_bytes)} for {part.name}" for part in shown)
    needs = f"needs about {describe_bytes(total)} of memory"
    if copies > 1:
        needs = f"{needs}, and tune.jobs: {copies} times that, {describe_bytes(copies * total)}"
    return (
        f"{shown[0].key}: this training {needs} ({listed}), but {limit.name} has {describe_bytes(limit.total_bytes)}, "
        f"{describe_bytes(limit.free_bytes)} of it free; lower {shown[0].key}"
    )


def _sum_up(parts: Sequence[MemoryPart]) -> int:
    return sum(part.size_bytes for part in parts)
