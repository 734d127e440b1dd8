"""
Measure training with several ranks: what they learn, how fast they are, and what their messages cost.

``python zoo_scripts/benchmark_ranks.py messages``: seconds of one average over 2 ranks, by size, and a model of more
ranks from them.

``python zoo_scripts/benchmark_ranks.py speed``: steps per second of 1 and 2 ranks, with one thread each.

``python zoo_scripts/benchmark_ranks.py learning --runs runs/ranks --figure ranks.png``: returns of training over
several seeds. Every run is kept, so that a second call trains only what is missing.
"""

from __future__ import annotations

import argparse
import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
import yaml
from benchmark_learning_curves import CURVE, TASKS, Task, average, describe, draw
from numpy.typing import NDArray

from sb3_ext.ranks.rank_group import RankGroup
from sb3_ext.runs.run import Run

_SIZES = (1, 1_000, 10_000, 100_000, 1_000_000)
_REPEATS = 300
_BASE, _NUM_RANKS = "1 rank", (1, 2)

LEARNING = {
    "cartpole": replace(TASKS["cartpole"], steps=24_576),
    "pendulum": replace(
        TASKS["pendulum"],
        steps=6_000,
        overrides=(*TASKS["pendulum"].overrides, "parallel.num_envs=2", "agent.params.gradient_steps=-1"),
    ),
    "connect4": TASKS["connect4"],
}
"""Trainings that are just long enough to learn something."""

SPEED = {
    "cartpole": Task("PPO, CartPole-v1, 8 environments", "cartpole_ppo", 24_576),
    "halfcheetah": Task(
        "PPO, HalfCheetah-v5, 8 environments, networks of 256 x 256",
        {
            "env": {"id": "HalfCheetah-v5", "normalize": True},
            "parallel": {"mode": "sequential", "num_envs": 8},
            "agent": {
                "id": "ppo",
                "params": {
                    "n_steps": 256,
                    "batch_size": 256,
                    "policy_kwargs": {"net_arch": [256, 256]},
                },
            },
        },
        8_192,
    ),
    "pendulum": Task(
        "SAC, Pendulum-v1, 2 environments, networks of 256 x 256",
        {
            "env": {"id": "Pendulum-v1"},
            "parallel": {"mode": "sequential", "num_envs": 2},
            "agent": {"id": "sac", "params": {"learning_starts": 200, "gradient_steps": -1}},
        },
        2_000,
    ),
}


def run_ranks(arguments: Sequence[str], size: int) -> str:
    """
    Run Python with the same arguments on each rank, as torchrun does.

    :param arguments: arguments of Python
    :param size: number of ranks
    :return: what rank 0 prints
    """
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port = listener.getsockname()[1]
    variables = {"WORLD_SIZE": str(size), "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port), "OMP_NUM_THREADS": "1"}
    processes = [
        subprocess.Popen(
            [sys.executable, *arguments],
            env={**os.environ, **variables, "RANK": str(rank)},
            stdout=subprocess.PIPE,
            text=True,
        )
        for rank in range(size)
    ]
    outputs = [process.communicate()[0] for process in processes]
    if any(process.returncode for process in processes):
        raise SystemExit(f"a rank has failed: {[process.returncode for process in processes]}")
    return outputs[0]


def train(task: Task, size: int, seed: int, directory: Path) -> Run:
    """
    Train a configuration with several ranks.

    :param task: the training
    :param size: number of ranks
    :param seed: seed of the run
    :param directory: directory of the run
    :return: the run
    """
    directory.parent.mkdir(parents=True, exist_ok=True)
    config = task.config
    if not isinstance(config, str):
        path = directory.with_suffix(".yaml")
        path.write_text(yaml.safe_dump(config))
        config = str(path)
    overrides = [
        f"seed={seed}",
        f"train.total_steps={task.steps}",
        "agent.engine=torch",
        "agent.threads=1",
        "eval.every_steps=null",
        "eval.episodes=1",
        "train.callbacks=[]",
        *task.overrides,
    ]
    options = [part for override in overrides for part in ("--set", override)]
    run_ranks(["-m", "sb3_ext", "train", config, "--quiet", "--run-dir", str(directory), *options], size)
    return Run(directory)


def learn(task: Task, size: int, seed: int, directory: Path) -> NDArray[np.float64]:
    """
    :param task: the training
    :param size: number of ranks
    :param seed: seed of the run
    :param directory: directory of the run, which is trained if it has no curve yet
    :return: return over the steps, shape (points,)
    """
    saved = directory / CURVE
    if not saved.exists():
        episodes = train(task, size, seed, directory).metrics["episodes"]
        np.save(saved, average(np.array(episodes["step"]), np.array(episodes["return"]), task.steps))
    found: NDArray[np.float64] = np.load(saved)
    return found


def compare_learning(tasks: Sequence[str], seeds: int, runs: Path, figure: Path | None) -> None:
    """Train with 1 and 2 ranks, and print and draw the returns."""
    results: dict[str, dict[str, NDArray[np.float64]]] = {}
    for name in tasks:
        results[name] = {
            f"{size} rank{'s' if size > 1 else ''}": np.array(
                [learn(LEARNING[name], size, seed, runs / name / f"{size}_seed_{seed}") for seed in range(seeds)]
            )
            for size in _NUM_RANKS
        }
    print("| task | ranks | seeds | mean return at the end | spread over seeds | standard errors from 1 rank |")
    print("|---|---|---|---|---|---|")
    for name, curves in results.items():
        for size, row in describe(curves, _BASE).items():
            distance = "" if row["distance"] is None else f"{row['distance']:+.1f}"
            shown = f"{row['seeds']} | {row['mean']:.1f} | {row['spread']:.1f} | {distance}"
            print(f"| {LEARNING[name].title} | {size} | {shown} |")
    if figure is not None:
        draw(results, figure, LEARNING)


def compare_speed(tasks: Sequence[str], runs: Path) -> None:
    """Print steps per second of 1 and 2 ranks, and where their time goes."""
    print("| task | ranks | steps/s | collecting | updating |")
    print("|---|---|---|---|---|")
    for name in tasks:
        for size in _NUM_RANKS:
            run = train(SPEED[name], size, 0, runs / f"{name}_{size}_{time.time_ns()}")
            found: dict[str, Any] = json.loads(run.paths.benchmark_metrics.read_text())
            shares, speed = found["shares"], found["fps"]["overall"]
            row = f"{speed:,.0f} | {shares['collecting']:.0%} | {shares['updating']:.0%}"
            print(f"| {SPEED[name].title} | {size} | {row} |", flush=True)


def time_messages() -> None:
    """Print, on rank 0, the seconds of an average over all ranks for each size, as JSON."""
    found = {}
    with RankGroup.join() as group:
        for size in _SIZES:
            tensor = torch.zeros(size)
            times = []
            for _repeat in range(_REPEATS):
                began_at = time.perf_counter()
                group.sum(tensor)
                times.append(time.perf_counter() - began_at)
            found[size] = float(np.median(times))
        if group.is_leader:
            print(json.dumps(found))


def predict_message(seconds: dict[int, float], size: int, ranks: int) -> float:
    """
    Predict the duration of an average over more ranks, on a ring as gloo's: 2 (ranks - 1) messages one after the other,
    each with a share of 1 / ranks of the numbers.

    :param seconds: measured with 2 ranks, by number of numbers
    :param size: number of numbers
    :param ranks: number of ranks
    :return: seconds
    """
    latency = min(seconds.values()) / 2
    largest = max(seconds)
    per_number = max(seconds[largest] - 2 * latency, 0.0) / largest
    return 2 * (ranks - 1) * (latency + per_number * size / ranks)


def describe_messages() -> None:
    """Print the measured cost of messages, and a model of 8 and 64 ranks."""
    seconds = {int(size): value for size, value in json.loads(run_ranks([__file__, "--as-rank"], 2)).items()}
    ranks = (2, 8, 64)
    print("| numbers | measured, 2 ranks | " + " | ".join(f"model, {count} ranks" for count in ranks) + " |")
    print("|---|---|" + "---|" * len(ranks))
    for size in _SIZES:
        model = " | ".join(f"{1e3 * predict_message(seconds, size, count):.2f} ms" for count in ranks)
        print(f"| {size:,} | {1e3 * seconds[size]:.2f} ms | {model} |")


def main() -> None:
    if sys.argv[1:] == ["--as-rank"]:
        time_messages()
        return
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("measure", choices=["messages", "speed", "learning"])
    parser.add_argument("tasks", nargs="*", help="names of tasks; default: all")
    parser.add_argument("--seeds", type=int, default=5, help="number of seeds, for learning")
    parser.add_argument("--runs", type=Path, default=Path("runs/ranks"), help="directory for the runs")
    parser.add_argument("--figure", type=Path, help="file for the picture, for learning")
    arguments = parser.parse_args()
    if arguments.measure == "messages":
        describe_messages()
    elif arguments.measure == "speed":
        compare_speed(arguments.tasks or list(SPEED), arguments.runs)
    else:
        compare_learning(arguments.tasks or list(LEARNING), arguments.seeds, arguments.runs, arguments.figure)


if __name__ == "__main__":
    main()
