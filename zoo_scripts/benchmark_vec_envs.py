"""
Measure steps per second with random actions: WorkerVecEnv, and SB3's and Gymnasium's vectorised environments.

They are measured in turn, several times; the medians are compared. The processes of the others are idle meanwhile::

    python zoo_scripts/benchmark_vec_envs.py
    python zoo_scripts/benchmark_vec_envs.py --env benchmark/Expensive-v0 --seconds 2
    python zoo_scripts/benchmark_vec_envs.py --env procgen-coinrun-v0 --num-envs 32 --num-workers 2 --json
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import time
from collections.abc import Callable
from functools import partial
from typing import Any

import gymnasium
import numpy as np
from gymnasium import spaces
from stable_baselines3.common.env_util import make_vec_env
from stable_baselines3.common.monitor import Monitor
from stable_baselines3.common.vec_env import DummyVecEnv, SubprocVecEnv

from sb3_ext.vec import WorkerVecEnv
from sb3_ext.vec.environment_factory import EnvironmentFactory


class ExpensiveEnv(gymnasium.Env[Any, Any]):
    """Images that take a while: a step multiplies matrices for about a millisecond."""

    observation_space = spaces.Box(0, 255, (64, 64, 3), np.uint8)
    action_space = spaces.Discrete(15)

    def __init__(self, size: int = 160) -> None:
        self._matrix = np.eye(size) + 0.01
        self._size = size

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[np.ndarray, dict[str, Any]]:
        super().reset(seed=seed)
        self._steps = 0
        return self._observe(), {}

    def step(self, action: Any) -> tuple[np.ndarray, float, bool, bool, dict[str, Any]]:
        self._steps += 1
        product = self._matrix
        for _ in range(4):
            product = product @ self._matrix
        return self._observe(), float(product[0, 0] > 0), self._steps == 200, False, {"level": 1}

    def _observe(self) -> np.ndarray:
        return self.np_random.integers(0, 256, (64, 64, 3), np.uint8)


gymnasium.register("benchmark/Expensive-v0", entry_point=ExpensiveEnv)

Step = Callable[[np.ndarray], Any]


def make_contenders(env_id: str, num_envs: int, num_workers: int | None) -> dict[str, tuple[Any, Step]]:
    """:return: environments, started, and how each takes a step"""
    factory = EnvironmentFactory(env_id)
    made: dict[str, Any] = {
        "DummyVecEnv": make_vec_env(factory, num_envs, vec_env_cls=DummyVecEnv),
        "WorkerVecEnv": make_vec_env(
            factory, num_envs, vec_env_cls=WorkerVecEnv, vec_env_kwargs={"num_workers": num_workers}
        ),
        "SubprocVecEnv": make_vec_env(factory, num_envs, vec_env_cls=SubprocVecEnv),
        "AsyncVectorEnv": gymnasium.vector.AsyncVectorEnv([partial(make_monitored, factory)] * num_envs),
    }
    for env in made.values():
        env.reset()
    return {name: (env, env.step) for name, env in made.items()}


def make_monitored(factory: EnvironmentFactory) -> gymnasium.Env[Any, Any]:
    """:return: what ``make_vec_env`` makes, for Gymnasium"""
    return Monitor(factory())


def measure(step: Step, actions: np.ndarray, seconds: float) -> float:
    """:return: environment steps a second"""
    began_at = time.perf_counter()
    steps = 0
    while time.perf_counter() - began_at < seconds:
        step(actions[steps % len(actions)])
        steps += 1
    return steps * actions.shape[1] / (time.perf_counter() - began_at)


def main() -> None:
    """Measure, and print a table or JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--env", default="CartPole-v1", help="Gymnasium id; benchmark/Expensive-v0 is one of this script"
    )
    parser.add_argument("--num-envs", type=int, default=32)
    parser.add_argument("--num-workers", type=int, default=2)
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--seconds", type=float, default=1.0, help="of each measurement")
    parser.add_argument("--json", action="store_true", help="print JSON")
    options = parser.parse_args()
    contenders = make_contenders(options.env, options.num_envs, options.num_workers)
    space = contenders["DummyVecEnv"][0].action_space
    space.seed(0)
    actions = np.array([[space.sample() for _ in range(options.num_envs)] for _ in range(500)])
    speeds: dict[str, list[float]] = {name: [] for name in contenders}
    for _ in range(options.repeats):
        for name, (_, step) in contenders.items():
            measure(step, actions, options.seconds / 10)  # a first taste wakes its processes
            speeds[name].append(measure(step, actions, options.seconds))
    for env, _ in contenders.values():
        env.close()
    medians = {name: statistics.median(values) for name, values in speeds.items()}
    if options.json:
        print(json.dumps({"env": options.env, "num_envs": options.num_envs, "steps_per_second": medians}))
        return
    print(f"{options.env}, {options.num_envs} environments, {options.num_workers} workers, {os.cpu_count()} cores")
    for name, median in medians.items():
        spread = f"{min(speeds[name]):,.0f} to {max(speeds[name]):,.0f}"
        ratio = medians["WorkerVecEnv"] / median
        print(f"{name:<16}{median:>10,.0f} steps/s  ({spread})  WorkerVecEnv is {ratio:.2f} times as fast")


if __name__ == "__main__":
    main()
