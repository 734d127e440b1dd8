"""
Measure for how long evaluations block training: in the background, and with Stable-Baselines3's ``EvalCallback``.

Both run in the same training of PPO, with the same interval and number of episodes. Their time is measured inside it.

    python zoo_scripts/benchmark_background_evaluation.py --steps 100000 --every-steps 10000 --episodes 20
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable
from functools import partial
from statistics import median
from typing import Any, TypeVar

import torch
from stable_baselines3 import PPO
from stable_baselines3.common.callbacks import EvalCallback
from stable_baselines3.common.env_util import make_vec_env

from sb3_ext.callbacks import EvaluationCallback

parser = argparse.ArgumentParser(description=__doc__.strip().splitlines()[0])
parser.add_argument("--env", default="CartPole-v1", help="a Gymnasium id")
parser.add_argument("--steps", type=int, default=100_000, help="steps of the run")
parser.add_argument("--every-steps", type=int, default=10_000, help="steps between two evaluations")
parser.add_argument("--episodes", type=int, default=20, help="episodes of an evaluation")
parser.add_argument("--num-envs", type=int, default=8, help="environments of the training, and of our evaluation")

Result = TypeVar("Result")


class Stalls:
    """The calls that took longer than doing nothing does."""

    def __init__(self) -> None:
        self.total_seconds = 0.0
        self.long_seconds: list[float] = []

    def measure(self, call: Callable[[], Result]) -> Result:
        """:return: what the call returns"""
        start = time.perf_counter()
        try:
            return call()
        finally:
            seconds = time.perf_counter() - start
            self.total_seconds += seconds
            if seconds > 1e-3:
                self.long_seconds.append(seconds)

    def summarize(self) -> dict[str, Any]:
        """:return: plain data"""
        return {
            "total_seconds": round(self.total_seconds, 3),
            "median_milliseconds": round(1000 * median(self.long_seconds), 1),
            "longest_milliseconds": round(1000 * max(self.long_seconds), 1),
        }


class TimedStockCallback(EvalCallback):
    """Evaluates in :meth:`_on_step`."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.stalls = Stalls()

    def _on_step(self) -> bool:
        return self.stalls.measure(super()._on_step)


class TimedBackgroundCallback(EvaluationCallback):
    """Starts evaluations and receives their results in :meth:`_on_rollout_start`."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.stalls = Stalls()

    def _on_step(self) -> bool:
        return self.stalls.measure(super()._on_step)

    def _on_rollout_start(self) -> None:
        self.stalls.measure(super()._on_rollout_start)


def compare(arguments: argparse.Namespace) -> dict[str, Any]:
    """:return: what was measured, as plain data"""
    torch.set_num_threads(1)
    make_envs = partial(make_vec_env, arguments.env, arguments.num_envs)
    stock = TimedStockCallback(
        make_vec_env(arguments.env, 1),
        n_eval_episodes=arguments.episodes,
        eval_freq=arguments.every_steps // arguments.num_envs,
        verbose=0,
    )
    ours = TimedBackgroundCallback(
        make_envs, every_steps=arguments.every_steps, episodes=arguments.episodes, at_end=False, background=True
    )
    evaluated: list[int] = []
    ours.on_evaluation.append(lambda step, _: evaluated.append(step))
    model = PPO("MlpPolicy", make_envs(), n_steps=128, seed=1, device="cpu")
    start = time.perf_counter()
    try:
        model.learn(arguments.steps, callback=[stock, ours])
        seconds = time.perf_counter() - start
        ours.finish()
    finally:
        ours.close()
    return {
        "run_seconds": round(seconds, 1),
        "evaluations": len(evaluated),
        "stock": stock.stalls.summarize(),
        "background": ours.stalls.summarize(),
    }


if __name__ == "__main__":
    print(json.dumps(compare(parser.parse_args()), indent=2))
