"""Measure what the agent costs without its environments: choosing actions, storing transitions, learning."""

from __future__ import annotations

import logging
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from stable_baselines3.common.base_class import BaseAlgorithm

from sb3_ext.algorithms.threads import measure_network, measure_threads, using_threads
from sb3_ext.building.model import make_model
from sb3_ext.building.training_environments import make_env
from sb3_ext.callbacks import LightCallbackList, PhaseCallback, StopCallback, TimeBudgetCallback, TrainingStopped
from sb3_ext.config.parallel_schema import ParallelConfig
from sb3_ext.config.schema import RunConfig
from sb3_ext.phases import Phases
from sb3_ext.runs.paths import RunPaths
from sb3_ext.vec.backends.parallel_modes import SEQUENTIAL
from sb3_ext.vec.closing import closing_environments


@dataclass(frozen=True)
class AgentCost:
    """
    Seconds for each call of ``env.step`` of all environments.

    :param collecting_seconds: collecting, with the environments in one process; ``None`` if no rollout was finished
    :param action_seconds: choosing actions, estimated from the network
    :param update_seconds: learning
    :param threads: torch's threads, as training chooses them
    """

    collecting_seconds: float | None
    action_seconds: float
    update_seconds: float
    threads: int

    def predict_step_seconds(self, env_step_seconds: float, sequential_step_seconds: float) -> float:
        """
        :param env_step_seconds: of the environments, in some mode
        :param sequential_step_seconds: of the environments in one process
        :return: of training: collecting and learning
        """
        beside = self.action_seconds
        if self.collecting_seconds is not None:
            beside = max(beside, self.collecting_seconds - sequential_step_seconds)
        return env_step_seconds + beside + self.update_seconds


def measure_agent(config: RunConfig, seconds: float, parallel: ParallelConfig | None = None) -> AgentCost:
    """
    Train for some seconds; if not even a rollout is finished, estimate the cost from the network.

    :param config: the whole configuration
    :param seconds: length of the training
    :param parallel: the section ``parallel`` to use; ``None`` steps one environment after the other
    :return: the cost
    :raises ConfigError: if environments or agent cannot be made
    """
    parallel = parallel or ParallelConfig(mode=SEQUENTIAL, num_envs=config.parallel.num_envs)
    with TemporaryDirectory() as directory:
        made = make_env(config.model_copy(update={"parallel": parallel}), RunPaths(Path(directory)))
        with closing_environments(made) as env:
            model = make_model(config, env)
            wanted = config.agent.threads
            threads = wanted if isinstance(wanted, int) else measure_threads(model)
            network = measure_network(model, threads)
            with using_threads(threads):
                watch = _train(model, seconds)
            if watch.steps == 0:
                return AgentCost(None, network.step_seconds, network.update_seconds_per_step, threads)
            steps = watch.steps / config.parallel.num_envs
            collecting, updating = (watch.seconds.get(name, 0.0) / steps for name in ("collecting", "updating"))
            return AgentCost(collecting, network.step_seconds, updating, threads)


class _IterationWatch(PhaseCallback):
    """Count steps and seconds of complete iterations: rollouts with their updates."""

    def __init__(self) -> None:
        super().__init__(Phases())
        self.steps = 0
        self.seconds: dict[str, float] = {}

    def _on_rollout_start(self) -> None:
        super()._on_rollout_start()
        self.steps, self.seconds = self.model.num_timesteps, self.phases.seconds


def _train(model: BaseAlgorithm, seconds: float) -> _IterationWatch:
    if hasattr(model, "learning_starts"):
        model.learning_starts = min(model.learning_starts, getattr(model, "batch_size", 0))
    watch = _IterationWatch()
    with suppress(TrainingStopped), _without_log_lines():
        model.learn(sys.maxsize, callback=LightCallbackList([watch, TimeBudgetCallback(seconds)]))
    return watch


@contextmanager
def _without_log_lines() -> Iterator[None]:
    """Do not log the end of this training."""
    stopping = logging.getLogger(StopCallback.__module__)
    level = stopping.level
    stopping.setLevel(logging.WARNING)
    try:
        yield
    finally:
        stopping.setLevel(level)
