"""
Measure the time that callbacks take, inside a DQN and a PPO training on CartPole with hyperparameters like RL Zoo's.

Everything that a run switches on is on: phases, heartbeat, metrics, Q-values, logging, measurement, stop file, signals
and a time budget. The clock stands around what SB3 calls (the list's own work included) and around the hooks on
networks and optimizers. "Of it log" is the model's logger writing for TensorBoard, which stock SB3 does as well, in
its loop::

    python zoo_scripts/benchmark_callbacks.py --repeats 5
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest.mock import patch

import torch
from call_clock import CallClock
from stable_baselines3 import DQN, PPO
from stable_baselines3.common.base_class import BaseAlgorithm
from stable_baselines3.common.callbacks import BaseCallback
from stable_baselines3.common.env_util import make_vec_env
from stable_baselines3.common.logger import Logger, TensorBoardOutputFormat

from sb3_ext.callbacks import (
    BenchmarkCallback,
    EpisodeLoggingCallback,
    HeartbeatCallback,
    LightCallbackList,
    MetricsCallback,
    PhaseCallback,
    QValuesCallback,
    SignalStopCallback,
    StopFileCallback,
    TimeBudgetCallback,
)
from sb3_ext.phases import Phases

_DISPATCHED = ("on_training_start", "on_rollout_start", "update_locals", "on_step", "on_rollout_end", "on_training_end")


def make_dqn() -> BaseAlgorithm:
    """:return: DQN on CartPole"""
    return DQN(
        "MlpPolicy",
        make_vec_env("CartPole-v1", seed=0),
        learning_rate=2.3e-3,
        batch_size=64,
        buffer_size=100_000,
        learning_starts=1000,
        gamma=0.99,
        target_update_interval=10,
        train_freq=256,
        gradient_steps=128,
        exploration_fraction=0.16,
        exploration_final_eps=0.04,
        policy_kwargs={"net_arch": [256, 256]},
        seed=0,
        device="cpu",
    )


def make_ppo() -> BaseAlgorithm:
    """:return: PPO on CartPole"""
    return PPO(
        "MlpPolicy",
        make_vec_env("CartPole-v1", n_envs=8, seed=0),
        n_steps=32,
        batch_size=256,
        gae_lambda=0.8,
        gamma=0.98,
        n_epochs=20,
        learning_rate=1e-3,
        clip_range=0.2,
        seed=0,
        device="cpu",
    )


def make_callbacks(directory: Path, steps: int) -> list[BaseCallback]:
    """
    :param directory: where files go
    :param steps: how long training is
    :return: what a run switches on
    """
    phases = Phases()
    return [
        PhaseCallback(phases),
        QValuesCallback(),
        EpisodeLoggingCallback(10, total_steps=steps),
        MetricsCallback(directory / "metrics.json"),
        BenchmarkCallback(directory / "benchmark_metrics.json", phases),
        HeartbeatCallback(directory / "status.json", 100, phases, steps),
        StopFileCallback(directory / "stop"),
        SignalStopCallback(SimpleNamespace(received=None)),
        TimeBudgetCallback(3600),
    ]


def measure_seconds(make_model: Callable[[], BaseAlgorithm], steps: int) -> tuple[float, float, float]:
    """
    :param make_model: makes what to train
    :param steps: how long to train
    :return: seconds inside callbacks and hooks, of these in the model's own logger, and seconds in all
    """
    clock, log_clock = CallClock(), CallClock()
    with tempfile.TemporaryDirectory() as directory, time_hooks(clock):
        model = make_model()
        model.set_logger(Logger(None, [TensorBoardOutputFormat(directory)]))
        model.dump_logs = log_clock.wrap(model.dump_logs)
        callback = LightCallbackList(make_callbacks(Path(directory), steps))
        for name in _DISPATCHED:
            setattr(callback, name, clock.wrap(getattr(callback, name)))
        started_at = time.perf_counter()
        model.learn(steps, callback=callback, log_interval=None)
        seconds = time.perf_counter() - started_at
        model.logger.close()
    return clock.seconds, log_clock.seconds, seconds


@contextmanager
def time_hooks(clock: CallClock) -> Iterator[None]:
    """:return: a context in which every hook that is put on a network or an optimizer is timed"""

    def patch_registration(owner: type, name: str) -> Any:
        register = getattr(owner, name)
        return patch.object(owner, name, lambda self, hook: register(self, clock.wrap(hook)))

    with (
        patch_registration(torch.nn.Module, "register_forward_hook"),
        patch_registration(torch.optim.Optimizer, "register_step_post_hook"),
    ):
        yield


def main() -> None:
    """Print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--steps", type=int, default=20_000)
    options = parser.parse_args()
    torch.set_num_threads(1)
    print(f"{'':6}{'steps/s':>10}{'in all':>10}{'callbacks':>12}{'a step':>12}{'share':>9}{'of it log':>11}")
    for name, make_model in (("DQN", make_dqn), ("PPO", make_ppo)):
        measured = [measure_seconds(make_model, options.steps) for _ in range(options.repeats)]
        spent, _, seconds = map(statistics.median, zip(*measured, strict=True))
        share = statistics.median(spent / seconds for spent, _, seconds in measured)
        log_share = statistics.median(logging / seconds for _, logging, seconds in measured)
        print(
            f"{name:6}{options.steps / seconds:10.0f}{seconds:8.2f} s{1e3 * spent:9.1f} ms"
            f"{1e6 * spent / options.steps:9.2f} µs{share:9.2%}{log_share:11.2%}"
        )


if __name__ == "__main__":
    main()
