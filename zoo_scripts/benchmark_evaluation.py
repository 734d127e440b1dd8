"""
Measure the time of an evaluation, compared with Stable-Baselines3's ``evaluate_policy`` on one environment.

Both evaluate the same half-trained PPO in turns; the medians are compared, and so are the distributions of returns,
by the two-sample Kolmogorov-Smirnov statistic.

    python zoo_scripts/benchmark_evaluation.py --episodes 100 --repeats 5
"""

from __future__ import annotations

import argparse
import json
import math
import time
from collections.abc import Callable
from statistics import fmean, median
from typing import Any

import numpy as np
import torch
from stable_baselines3 import PPO
from stable_baselines3.common.env_util import make_vec_env
from stable_baselines3.common.evaluation import evaluate_policy

from sb3_ext.evaluation.evaluate import evaluate

parser = argparse.ArgumentParser(description=__doc__.strip().splitlines()[0])
parser.add_argument("--env", default="CartPole-v1", help="a Gymnasium id")
parser.add_argument("--train-steps", type=int, default=10_000, help="steps of PPO before the evaluations")
parser.add_argument("--episodes", type=int, default=100, help="episodes of an evaluation")
parser.add_argument("--num-envs", type=int, default=50, help="environments side by side; stock has one")
parser.add_argument("--repeats", type=int, default=5, help="evaluations of each kind")


def measure(play: Callable[[int], list[float]], seed: int) -> tuple[float, list[float]]:
    """:return: seconds, and the returns of the episodes"""
    start = time.perf_counter()
    returns = play(seed)
    return time.perf_counter() - start, returns


def find_largest_gap(first: list[float], second: list[float]) -> float:
    """:return: the two-sample Kolmogorov-Smirnov statistic: the largest distance of the distribution functions"""
    points = np.array(first + second)
    below = [np.searchsorted(np.sort(sample), points, side="right") / len(sample) for sample in (first, second)]
    return float(np.abs(below[0] - below[1]).max())


def compare(arguments: argparse.Namespace) -> dict[str, Any]:
    """:return: what was measured, as plain data"""
    torch.set_num_threads(1)
    model = PPO("MlpPolicy", make_vec_env(arguments.env, 8, seed=1), n_steps=128, seed=1, device="cpu")
    model.learn(arguments.train_steps)
    one_env, envs = make_vec_env(arguments.env, 1), make_vec_env(arguments.env, arguments.num_envs)

    def play_stock(seed: int) -> list[float]:
        one_env.seed(seed)
        returns, _ = evaluate_policy(model, one_env, arguments.episodes, return_episode_rewards=True)
        return list(returns)

    def play_ours(seed: int) -> list[float]:
        return list(evaluate(model, envs, arguments.episodes, seed=seed).returns)

    stock, ours = [], []
    for repeat in range(arguments.repeats):
        stock.append(measure(play_stock, 10_000 * repeat))
        ours.append(measure(play_ours, 10_000 * repeat + 5_000))
    stock_seconds, our_seconds = (median(seconds for seconds, _ in runs) for runs in (stock, ours))
    stock_returns, our_returns = ([value for _, returns in runs for value in returns] for runs in (stock, ours))
    return {
        "stock_seconds": round(stock_seconds, 3),
        "sb3_ext_seconds": round(our_seconds, 3),
        "speed_up": round(stock_seconds / our_seconds, 1),
        "stock_mean_return": round(fmean(stock_returns), 1),
        "sb3_ext_mean_return": round(fmean(our_returns), 1),
        "largest_gap": round(find_largest_gap(stock_returns, our_returns), 4),
        "largest_gap_expected_in_95_of_100": round(1.358 * math.sqrt(2 / len(our_returns)), 4),
    }


if __name__ == "__main__":
    print(json.dumps(compare(parser.parse_args()), indent=2))
