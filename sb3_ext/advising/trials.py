"""Step the environments of a configuration in several modes, for some seconds each."""

from __future__ import annotations

import logging
import statistics
import time
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from stable_baselines3.common.vec_env import VecEnv

from sb3_ext.building.parallel import make_configured_backend
from sb3_ext.building.training_environments import make_env, make_environment_factory
from sb3_ext.config.parallel_schema import ParallelConfig
from sb3_ext.config.schema import RunConfig
from sb3_ext.runs.paths import RunPaths
from sb3_ext.vec.backends.environment_backend import EnvironmentBackend
from sb3_ext.vec.backends.parallel_modes import AUTO, BUILT_IN, PARALLEL_MODES, load_backend_class
from sb3_ext.vec.closing import closing_environments

logger = logging.getLogger(__name__)

_STEPS_PER_SAMPLE = 5


@dataclass(frozen=True)
class Trial:
    """
    :param parallel: the section ``parallel`` that was tried
    :param step_seconds: of all environments together, the median
    :param start_seconds: what making the environments took
    """

    parallel: ParallelConfig
    step_seconds: float
    start_seconds: float

    @cached_property
    def backend(self) -> EnvironmentBackend:
        """Of the section."""
        return make_configured_backend(self.parallel)


def list_sections(config: RunConfig, cores: int) -> list[ParallelConfig]:
    """
    List what to measure: what the modes propose for these environments, and the configured mode.

    :param config: the whole configuration, with a section ``env``
    :param cores: of this process
    :return: sections ``parallel``, sequential first; only the configured one if no other mode can step these
        environments
    """
    num_envs = config.parallel.num_envs
    factory = make_environment_factory(config.require_env("advice on parallel environments"))
    if not make_configured_backend(config.parallel).has_single_environments(factory):
        return [config.parallel]
    sections = [
        ParallelConfig(mode=mode, num_envs=num_envs).with_settings(settings)
        for mode, backend_class in _load_backend_classes()
        for settings in backend_class.list_variants(factory, num_envs, cores)
    ]
    if config.parallel.mode != AUTO:
        configured = make_configured_backend(config.parallel)
        if configured.name not in [make_configured_backend(section).name for section in sections]:
            sections.append(config.parallel)
    return sections


def try_section(config: RunConfig, parallel: ParallelConfig, seconds: float) -> Trial:
    """
    Step the environments with random actions, made as for training.

    :param config: the whole configuration
    :param parallel: another section ``parallel``
    :param seconds: for how long
    :return: the measurement
    :raises ConfigError: if the environments cannot be made
    """
    with TemporaryDirectory() as directory:
        began_at = time.perf_counter()
        made = make_env(config.model_copy(update={"parallel": parallel}), RunPaths(Path(directory)))
        with closing_environments(made) as env:
            env.reset()
            start_seconds = time.perf_counter() - began_at
            return Trial(parallel, _time_steps(env, seconds), start_seconds)


def _load_backend_classes() -> Iterator[tuple[str, type[EnvironmentBackend]]]:
    for mode in [*BUILT_IN, *PARALLEL_MODES.list_installed()]:
        try:
            yield mode, load_backend_class(mode)
        except LookupError as error:
            logger.warning("parallel.mode %s is not tried: %s", mode, error)


def _time_steps(env: VecEnv, seconds: float) -> float:
    samples: list[float] = []
    until = time.perf_counter() + seconds
    while not samples or time.perf_counter() < until:
        actions = [_sample_actions(env) for _ in range(_STEPS_PER_SAMPLE)]
        began_at = now = time.perf_counter()
        steps = 0
        while steps == 0 or (steps < _STEPS_PER_SAMPLE and now < until):
            env.step(actions[steps])
            steps += 1
            now = time.perf_counter()
        samples.append((now - began_at) / steps)
    return statistics.median(samples)


def _sample_actions(env: VecEnv) -> np.ndarray:
    return np.array([env.action_space.sample() for _ in range(env.num_envs)])
