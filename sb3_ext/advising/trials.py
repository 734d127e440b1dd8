"""Stepping the environments of a configuration in several ways, for some seconds each."""

from __future__ import annotations

import math
import statistics
import time
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from stable_baselines3.common.vec_env import VecEnv

from sb3_ext.building.training_environments import NATIVE, make_env
from sb3_ext.config.schema import ParallelConfig, RunConfig
from sb3_ext.runs.paths import RunPaths
from sb3_ext.vec.closing import closing_environments

_MAX_SPLITS = 5
_STEPS_PER_SAMPLE = 5


@dataclass(frozen=True)
class Split:
    """
    A way to step the environments.

    :param num_envs: environments in all
    :param num_workers: processes that share them; ``None``: they are in this one
    :param is_native: as a batch of the environment's own
    """

    num_envs: int
    num_workers: int | None
    is_native: bool = False

    @property
    def name(self) -> str:
        """For people."""
        if self.is_native:
            return NATIVE
        if self.num_workers is None:
            return "sequential"
        return f"{self.num_workers} x {self.num_envs // self.num_workers}"

    @property
    def parallel(self) -> ParallelConfig:
        """The section of the configuration."""
        if self.num_workers is None:
            return ParallelConfig(mode=NATIVE if self.is_native else "sequential", num_envs=self.num_envs)
        each = self.num_envs // self.num_workers
        return ParallelConfig(
            mode="workers", num_envs=self.num_envs, num_workers=self.num_workers, num_envs_per_worker=each
        )


@dataclass(frozen=True)
class Trial:
    """
    :param split: what was tried
    :param step_seconds: of all environments together, the median
    :param start_seconds: what making the environments took
    """

    split: Split
    step_seconds: float
    start_seconds: float


def list_splits(num_envs: int, cores: int) -> list[Split]:
    """
    :param num_envs: environments in all
    :param cores: of this process
    :return: in this process, and in as many workers as share them evenly: those nearest to the number of cores first
        of all, and never many more than that
    """
    most = min(num_envs, max(2, 2 * cores))
    fitting = [workers for workers in range(2, most + 1) if num_envs % workers == 0]
    nearest = sorted(fitting, key=lambda workers: abs(math.log(workers / cores)))[: _MAX_SPLITS - 1]
    return [Split(num_envs, None), *(Split(num_envs, workers) for workers in sorted(nearest))]


def try_split(config: RunConfig, split: Split, seconds: float) -> Trial:
    """
    Step the environments with random actions, in the way that training does.

    :param config: the whole configuration
    :param split: how
    :param seconds: for how long
    :return: how fast that was
    :raises ConfigError: if the environments cannot be made
    """
    with TemporaryDirectory() as directory:
        began_at = time.perf_counter()
        made = make_env(config.model_copy(update={"parallel": split.parallel}), RunPaths(Path(directory)))
        with closing_environments(made) as env:
            env.reset()
            start_seconds = time.perf_counter() - began_at
            return Trial(split, _time_steps(env, seconds), start_seconds)


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
