"""
Compare what agents learn whose updates different engines compute: returns of training over several seeds.

``python zoo_scripts/benchmark_learning_curves.py --engines stock xla --runs runs/engines --figure curves.png``

Every run is kept in a directory of its own, so a second call trains only what is missing, and several processes can
train a task each. Engines compute the same updates except for rounding, so runs of one seed differ after a while, but
their means over the seeds should stay within the spread of stock's. The table and ``--json`` have the mean return over
the last fifth of the steps, its standard deviation over the seeds, and the distance of the means in standard errors.
"""

from __future__ import annotations

import argparse
import json
import math
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

import sb3_ext
from sb3_ext.engines.engine_registry import STOCK_ENGINE

_POINTS = 20
CURVE = "curve.npy"
"""Name of the file that is written last into the directory of a run."""


@dataclass(frozen=True)
class Task:
    """
    A short training.

    :param title: of its panel
    :param config: a configuration by name, or as a dictionary
    :param steps: environment transitions
    :param overrides: changes of the configuration
    """

    title: str
    config: str | dict[str, Any]
    steps: int
    overrides: Sequence[str] = ()


_CONNECT4 = str(Path(__file__).with_name("connect4_without_lookahead.yaml"))
_SMALL = "agent.params.policy_kwargs={net_arch: [32, 32]}"
TASKS = {
    "cartpole": Task("PPO, CartPole-v1", "cartpole_ppo", 12_288),
    "acrobot": Task(
        "A2C, Acrobot-v1",
        {
            "env": {"id": "Acrobot-v1"},
            "parallel": {"mode": "sequential", "num_envs": 8},
            "agent": {"id": "a2c", "device": "cpu", "params": {"learning_rate": 2e-3, "ent_coef": 0.01}},
        },
        16_000,
    ),
    "pendulum": Task(
        *("SAC, Pendulum-v1", "pendulum_sac", 8_000),
        (_SMALL, "agent.params.batch_size=64", "agent.params.learning_rate=0.003"),
    ),
    "connect4": Task("MaskablePPO, Connect4", _CONNECT4, 262_144, ("parallel.num_envs=64",)),
}
"""Trainings that are just long enough to learn something."""


def train(task: Task, engine: str, seed: int, directory: Path) -> NDArray[np.float64]:
    """
    Train an agent, unless the directory has it already.

    :param task: the training
    :param engine: name of the engine
    :param seed: seed of the run
    :param directory: directory of the run
    :return: return over the steps, shape (points,)
    :raises SystemExit: if the run is stopped, for example by a signal
    """
    saved = directory / CURVE
    if saved.exists():
        found: NDArray[np.float64] = np.load(saved)
        return found
    shutil.rmtree(directory, ignore_errors=True)
    run = sb3_ext.train(
        task.config,
        run_dir=directory,
        overrides=[
            f"seed={seed}",
            f"train.total_steps={task.steps}",
            f"agent.engine={engine}",
            "agent.threads=1",
            "eval.every_steps=null",
            "train.callbacks=[]",
            *task.overrides,
        ],
    )
    if run.status != "completed":
        raise SystemExit(f"{directory}: {run.status}")
    episodes = run.metrics["episodes"]
    found = average(np.array(episodes["step"]), np.array(episodes["return"]), task.steps)
    np.save(saved, found)
    return found


def average(steps: NDArray[Any], returns: NDArray[Any], total: int) -> NDArray[np.float64]:
    """
    :param steps: steps at the ends of the episodes
    :param returns: returns of the episodes
    :param total: steps of the training
    :return: mean return of the episodes that ended in each of some equal parts of the training; where none did, that of
        the part before
    """
    parts = np.clip(steps * _POINTS // total, 0, _POINTS - 1)
    means = np.full(_POINTS, np.nan)
    for part in range(_POINTS):
        found = returns[parts == part]
        means[part] = found.mean() if len(found) else means[part - 1] if part else np.nan
    return means


def describe(curves: dict[str, NDArray[np.float64]], base: str = STOCK_ENGINE) -> dict[str, dict[str, float | None]]:
    """
    :param curves: for each engine, an array of shape (seeds, points)
    :param base: the engine with which the others are compared
    :return: for each engine, the figures of the table
    """
    last = {engine: found[:, -_POINTS // 5 :].mean(axis=1) for engine, found in curves.items()}
    figures: dict[str, dict[str, float | None]] = {}
    for engine, values in last.items():
        stock = last.get(base)
        distance = None
        if stock is not None and engine != base and len(values) > 1:
            error = math.sqrt(values.var(ddof=1) / len(values) + stock.var(ddof=1) / len(stock))
            distance = float((values.mean() - stock.mean()) / error) if error else 0.0
        spread = float(values.std(ddof=1)) if len(values) > 1 else 0.0
        figures[engine] = {"seeds": len(values), "mean": float(values.mean()), "spread": spread, "distance": distance}
    return figures


def draw(results: dict[str, dict[str, NDArray[np.float64]]], path: Path, tasks: Mapping[str, Task] = TASKS) -> None:
    """
    Draw means, and bands of one standard deviation over the seeds, a panel a task.

    :param results: for each task and engine, an array of shape (seeds, points)
    :param path: the picture
    :param tasks: the trainings
    """
    columns = min(2, len(results))
    rows = math.ceil(len(results) / columns)
    figure = Figure(figsize=(5 * columns, 3.2 * rows), layout="constrained")
    panels = figure.subplots(rows, columns, squeeze=False).ravel()
    for axes, (name, curves) in zip(panels, results.items(), strict=False):
        steps = (np.arange(_POINTS) + 1) * tasks[name].steps / _POINTS
        for engine, found in curves.items():
            mean, spread = found.mean(axis=0), found.std(axis=0)
            [line] = axes.plot(steps, mean, label=f"{engine}, {len(found)} seeds")
            axes.fill_between(steps, mean - spread, mean + spread, color=line.get_color(), alpha=0.2, linewidth=0)
        axes.set_title(tasks[name].title)
        axes.set_xlabel("steps")
        axes.set_ylabel("return of training episodes")
        axes.legend(frameon=False)
    for axes in panels[len(results) :]:
        axes.remove()
    figure.savefig(path, dpi=120)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("tasks", nargs="*", default=list(TASKS), help=f"from {', '.join(TASKS)}; default: all")
    parser.add_argument("--engines", nargs="+", default=["stock", "torch", "xla"], help="names of engines")
    parser.add_argument("--seeds", type=int, default=10, help="number of seeds")
    parser.add_argument("--runs", type=Path, required=True, help="directory for the runs")
    parser.add_argument("--finished", action="store_true", help="train nothing; use the seeds that all engines have")
    parser.add_argument("--json", type=Path, help="file for the curves and figures")
    parser.add_argument("--figure", type=Path, help="file for the picture")
    arguments = parser.parse_args()
    if unknown := set(arguments.tasks) - TASKS.keys():
        parser.error(f"unknown task {', '.join(sorted(unknown))}; expected {', '.join(TASKS)}")
    found: dict[str, dict[str, list[NDArray[np.float64]]]] = {}
    for seed in range(arguments.seeds):  # engines in turn, so that an early end leaves the same seeds of each
        for name in arguments.tasks:
            for engine in arguments.engines:
                directories = [arguments.runs / name / each / f"seed_{seed}" for each in arguments.engines]
                if arguments.finished and not all((each / CURVE).exists() for each in directories):
                    continue
                directory = arguments.runs / name / engine / f"seed_{seed}"
                curve = train(TASKS[name], engine, seed, directory)
                found.setdefault(name, {}).setdefault(engine, []).append(curve)
    results = {name: {engine: np.array(curves) for engine, curves in each.items()} for name, each in found.items()}
    figures = {name: describe(curves) for name, curves in results.items()}
    print("| task | engine | seeds | mean return at the end | spread over seeds | standard errors from stock |")
    print("|---|---|---|---|---|---|")
    for name, engines in figures.items():
        for engine, row in engines.items():
            distance = "" if row["distance"] is None else f"{row['distance']:+.1f}"
            shown = f"{row['seeds']} | {row['mean']:.1f} | {row['spread']:.1f} | {distance}"
            print(f"| {TASKS[name].title} | {engine} | {shown} |")
    if arguments.json:
        curves = {name: {key: array.tolist() for key, array in each.items()} for name, each in results.items()}
        arguments.json.write_text(json.dumps({"figures": figures, "curves": curves}, indent=1))
    if arguments.figure:
        draw(results, arguments.figure)


if __name__ == "__main__":
    main()
