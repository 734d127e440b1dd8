"""
Measure the processor time that MLflow, W&B and Trackio cost together, in runs of DQN and PPO on CartPole.

Runs without and with the three trackers alternate. MLflow writes to SQLite, W&B to its offline files, Trackio to
SQLite. Measured from the first rollout to the last, as processor time: "loop" is what the training loop spends on
tracking, "threads" what the threads spend that send values, "W&B" what its own process spends. "Share" is the sum of
the three in the processor time of training, "against none" the whole process compared with runs without trackers.
"Start" is the processor time until training begins, and "end" that after it, both more than without trackers; the first
start of a process also imports the clients and creates MLflow's tables, and is in the line below the table::

    python zoo_scripts/benchmark_trackers.py --repeats 3
"""

from __future__ import annotations

import argparse
import os
import statistics
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any
from unittest.mock import patch

import psutil
from call_clock import CallClock
from stable_baselines3.common.callbacks import BaseCallback

import sb3_ext
from sb3_ext.callbacks.tracking_values import TrackedValuesCallback
from sb3_ext.tracking.run_trackers import RunTrackers

_DQN: dict[str, Any] = {
    "id": "dqn",
    "threads": 1,
    "params": {
        "learning_rate": 2.3e-3,
        "batch_size": 64,
        "buffer_size": 100_000,
        "learning_starts": 1000,
        "target_update_interval": 10,
        "train_freq": 256,
        "gradient_steps": 128,
        "exploration_fraction": 0.16,
        "exploration_final_eps": 0.04,
        "policy_kwargs": {"net_arch": [256, 256]},
    },
}
_PPO: dict[str, Any] = {
    "id": "ppo",
    "threads": 1,
    "params": {"n_steps": 32, "batch_size": 256, "gae_lambda": 0.8, "gamma": 0.98, "n_epochs": 20},
}
_IN_LOOP = ((RunTrackers, "log_metrics"), (RunTrackers, "mark_durable"), (TrackedValuesCallback, "_on_step"))


@contextmanager
def time_tracking(clock: CallClock) -> Iterator[None]:
    """Time the functions of :data:`_IN_LOOP`."""
    with ExitStack() as patches:
        for owner, name in _IN_LOOP:
            patches.enter_context(patch.object(owner, name, clock.wrap(getattr(owner, name))))
        yield


class Measurement(BaseCallback):
    """Measures processor times from the beginning to the end of training."""

    def __init__(self, clock: CallClock) -> None:
        super().__init__()
        self._clock = clock
        self._before: tuple[float, ...] = ()
        #: seconds in the training loop's tracking, in threads that send, in other processes, and of the whole process
        self.seconds: tuple[float, ...] = ()
        #: processor time of the process when training begins and ends
        self.began_at = self.ended_at = 0.0

    def _on_training_start(self) -> None:
        self._before = self._look()
        self.began_at = time.process_time()

    def _on_training_end(self) -> None:
        self.ended_at = time.process_time()
        self.seconds = tuple(now - before for now, before in zip(self._look(), self._before, strict=True))

    def _on_step(self) -> bool:
        return True

    def _look(self) -> tuple[float, ...]:
        ids = {thread.native_id for thread in threading.enumerate() if thread.name.startswith("tracker-")}
        process = psutil.Process()
        threads = sum(item.user_time + item.system_time for item in process.threads() if item.id in ids)
        below = sum(sum(child.cpu_times()[:2]) for child in process.children(recursive=True))
        return self._clock.seconds, threads, below, time.process_time()


def measure(agent: dict[str, Any], steps: int, root: Path, tracking: dict[str, Any]) -> tuple[float, ...]:
    """
    :param agent: section ``agent`` of the configuration
    :param steps: environment transitions
    :param root: directory of the runs
    :param tracking: section ``tracking``
    :return: the seconds of :class:`Measurement`, and seconds before and after training
    """
    config = {
        "seed": 1,
        "env": {"id": "CartPole-v1"},
        "parallel": {"num_envs": 8 if agent["id"] == "ppo" else 1, "mode": "sequential"},
        "agent": agent,
        "train": {"total_steps": steps},
        "eval": {"every_steps": steps // 10, "episodes": 5},
        "tracking": tracking,
    }
    clock = CallClock(time.thread_time)
    measurement = Measurement(clock)
    directory = root / f"run_{len(list(root.iterdir()))}"
    began_at = time.process_time()
    with time_tracking(clock):
        sb3_ext.train(config, run_dir=directory, callback=measurement)
    return *measurement.seconds, measurement.began_at - began_at, time.process_time() - measurement.ended_at


def main() -> None:
    """Print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--steps", type=int, default=50_000)
    parser.add_argument(
        "--engine", default="stock", help="stock, torch or xla: auto may choose another one in each run"
    )
    parser.add_argument("--tracking-uri", help="an MLflow server instead of SQLite in the process that trains")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as directory:
        root = Path(directory) / "runs"
        root.mkdir()
        for name in ("TRACKIO_DIR", "WANDB_CACHE_DIR", "WANDB_CONFIG_DIR", "WANDB_DATA_DIR"):
            os.environ[name] = f"{directory}/{name}"
        mlflow = {} if options.tracking_uri is None else {"tracking_uri": options.tracking_uri}
        trackers: dict[str, Any] = {"mlflow": mlflow, "wandb": {"mode": "offline"}, "trackio": {}}
        columns = ("training", "loop", "threads", "W&B", "share", "against none", "start", "end")
        print(" " * 4 + "".join(f"{column:>14}" for column in columns))
        first_start = None
        for agent in (_DQN, _PPO):
            engine = {**agent, "engine": options.engine}
            pairs = [
                [measure(engine, options.steps, root, tracking) for tracking in ({}, trackers)]
                for _ in range(options.repeats)
            ]
            if first_start is None:
                first_start = pairs.pop(0)[1][4] if len(pairs) > 1 else pairs[0][1][4]
            loop, threads, other, whole, *_ = map(statistics.median, zip(*(pair[1] for pair in pairs), strict=True))
            ratio = statistics.median(tracked[3] / plain[3] for plain, tracked in pairs)
            around = [statistics.median(tracked[k] - plain[k] for plain, tracked in pairs) for k in (4, 5)]
            share = (loop + threads + other) / (whole + other)
            seconds = "".join(f"{value:12.2f} s" for value in (whole, loop, threads, other))
            ends = "".join(f"{value:12.2f} s" for value in around)
            print(f"{agent['id']:4}{seconds}{share:14.2%}{ratio - 1:14.2%}{ends}", flush=True)
        print(f"first start: {first_start:.1f} s")


if __name__ == "__main__":
    main()
