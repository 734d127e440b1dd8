"""
Compare the duration of whole trainings: this package with each engine, a plain SB3 script, RL Zoo and sbx.

``python zoo_scripts/benchmark_speed.py ppo dqn --zoo-python /path/to/zoo/bin/python --json speed.json``

Every program trains with RL Zoo's hyperparameters, and evaluates as often as ``rl_zoo3 train`` does by default, in a
process of its own with one thread; measured is the whole process. The programs run in turn, and each repeat starts with
another one, so that other load on the machine affects all of them. The tables show medians of the time and of the
processor time; a busy machine distorts the latter less. ``--figure`` draws the processor time.

RL Zoo and sbx pin their own versions, so they need an environment of their own (``pip install rl_zoo3 sbx-rl``);
without ``--zoo-python`` they are left out. XLA compiles in the first repeat; later ones load the cached programs.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

SCRIPT = """
import json, sys
import torch
torch.set_num_threads(1)
from stable_baselines3.common.callbacks import EvalCallback
from stable_baselines3.common.env_util import make_vec_env

package, name, params, run = sys.argv[1], sys.argv[2], json.loads(sys.argv[3]), json.loads(sys.argv[4])
schedules = {key: value for key, value in params.items() if isinstance(value, str) and value.startswith("linear")}
for key, value in schedules.items():
    params[key] = lambda left, top=float(value[7:-1]): left * top
algorithm = getattr(__import__(package), name)
model = algorithm("MlpPolicy", make_vec_env(run["env"], run["num_envs"], seed=run["seed"]), seed=run["seed"], **params)
every = run["eval_every"] // run["num_envs"]
evaluation = EvalCallback(make_vec_env(run["env"], 1), n_eval_episodes=run["eval_episodes"], eval_freq=every, verbose=0)
model.learn(run["steps"], callback=evaluation)
"""
"""Training script for SB3 and for sbx, which has the same interface."""

_LINEAR = "linear({})"


@dataclass(frozen=True)
class Task:
    """
    A training that every program runs.

    :param algorithm: id of the algorithm
    :param env: Gymnasium id
    :param steps: environment transitions
    :param num_envs: number of environments
    :param params: RL Zoo's hyperparameters
    """

    algorithm: str
    env: str
    steps: int
    num_envs: int
    params: dict[str, Any]


TASKS = {
    "ppo": Task(
        "ppo",
        "CartPole-v1",
        100_000,
        8,
        {
            "n_steps": 32,
            "batch_size": 256,
            "gae_lambda": 0.8,
            "gamma": 0.98,
            "n_epochs": 20,
            "ent_coef": 0.0,
            "learning_rate": _LINEAR.format(0.001),
            "clip_range": _LINEAR.format(0.2),
        },
    ),
    "dqn": Task(
        "dqn",
        "CartPole-v1",
        50_000,
        1,
        {
            "learning_rate": 0.0023,
            "batch_size": 64,
            "buffer_size": 100_000,
            "learning_starts": 1000,
            "gamma": 0.99,
            "target_update_interval": 10,
            "train_freq": 256,
            "gradient_steps": 128,
            "exploration_fraction": 0.16,
            "exploration_final_eps": 0.04,
            "policy_kwargs": {"net_arch": [256, 256]},
        },
    ),
    "sac": Task("sac", "Pendulum-v1", 20_000, 1, {"learning_rate": 0.001}),
}
EVAL_EVERY, EVAL_EPISODES = 25_000, 5  # defaults of ``rl_zoo3 train``


@dataclass(frozen=True)
class Cost:
    """
    Duration of a process.

    :param seconds: by the clock
    :param cpu_seconds: processor time of all its threads and children
    """

    seconds: float
    cpu_seconds: float


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure, print tables, and write the files that the options name."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("tasks", nargs="*", default=list(TASKS), metavar="TASK", help=f"of {', '.join(TASKS)}")
    parser.add_argument("--zoo-python", type=Path, help="the Python of an environment with rl_zoo3 and sbx")
    parser.add_argument("--programs", nargs="+", metavar="NAME", help="such as 'sb3_ext, torch' and sbx; default: all")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--steps", type=int, help="instead of each task's own number")
    parser.add_argument("--json", type=Path, help="write every measurement to this file")
    parser.add_argument("--measured", type=Path, nargs="+", metavar="JSON", help="show earlier measurements instead")
    parser.add_argument("--figure", type=Path, help="draw the medians into this file")
    parser.add_argument("--smoke", action="store_true", help="a thousand steps, once")
    options = parser.parse_args(arguments)
    if options.smoke:
        options.repeats, options.steps = 1, 1000
    if options.measured:
        results = read_results(options.measured)
    else:
        results = {
            name: measure(TASKS[name], options.zoo_python, options.repeats, options.steps, options.programs)
            for name in options.tasks
        }
    print_tables(results)
    if options.json is not None:
        options.json.write_text(json.dumps(describe(results, options.repeats), indent=2) + "\n")
    if options.figure is not None:
        draw(results, options.figure)


def measure(
    task: Task, zoo_python: Path | None, repeats: int, steps: int | None, programs: Sequence[str] | None = None
) -> dict[str, list[Cost]]:
    """
    Run a training with each program in turn.

    :param task: the training
    :param zoo_python: Python of RL Zoo and sbx; ``None`` leaves them out
    :param repeats: number of repeats
    :param steps: environment transitions; ``None`` for the task's own number
    :param programs: names of the programs; ``None`` for all
    :return: durations by program
    """
    found: dict[str, list[Cost]] = {}
    for repeat in range(repeats):
        with tempfile.TemporaryDirectory() as folder:
            commands = list_commands(task, zoo_python, steps or task.steps, repeat, Path(folder))
            names = [name for name in commands if programs is None or name in programs]
            for name in names[repeat % len(names) :] + names[: repeat % len(names)]:
                found.setdefault(name, []).append(run(commands[name], Path(folder)))
                cost = found[name][-1]
                line = f"{task.algorithm} {name}: {cost.seconds:.1f} s, {cost.cpu_seconds:.1f} s of the processor"
                print(line, file=sys.stderr, flush=True)
    return found


def list_commands(task: Task, zoo_python: Path | None, steps: int, seed: int, folder: Path) -> dict[str, list[str]]:
    """
    :param task: the training
    :param zoo_python: Python of RL Zoo and sbx; ``None`` leaves them out
    :param steps: environment transitions
    :param seed: random seed
    :param folder: directory for all files
    :return: commands by program
    """
    config = folder / "config.yaml"
    every = min(EVAL_EVERY, steps)
    config.write_text(yaml.safe_dump(make_config(task, steps, seed, every)))
    ours = [sys.executable, "-m", "sb3_ext", "train", str(config)]
    shared = {"env": task.env, "num_envs": task.num_envs, "seed": seed, "steps": steps}
    plain = [task.algorithm.upper(), json.dumps(task.params)]
    plain.append(json.dumps({**shared, "eval_every": every, "eval_episodes": EVAL_EPISODES}))
    commands = {
        f"sb3_ext, {engine}": [*ours, "--run-dir", str(folder / engine), "--set", f"agent.engine={engine}"]
        for engine in ("xla", "torch")
    }
    commands["SB3"] = [sys.executable, "-c", SCRIPT, "stable_baselines3", *plain]
    if zoo_python is not None:
        hyperparameters = folder / "zoo.yml"
        hyperparameters.write_text(yaml.safe_dump({task.env: make_zoo_parameters(task, steps)}))
        commands["RL Zoo"] = [
            *(str(zoo_python), "-m", "rl_zoo3.train", "--algo", task.algorithm, "--env", task.env),
            *("--conf-file", str(hyperparameters), "--log-folder", str(folder / "zoo"), "--seed", str(seed)),
            *("--num-threads", "1", "--eval-freq", str(every), "--eval-episodes", str(EVAL_EPISODES), "--verbose", "0"),
        ]
        commands["sbx"] = [str(zoo_python), "-c", SCRIPT, "sbx", *plain]
    return commands


def make_config(task: Task, steps: int, seed: int, eval_every: int) -> dict[str, Any]:
    """
    :param task: the training
    :param steps: environment transitions
    :param seed: random seed
    :param eval_every: transitions between two evaluations
    :return: configuration of this package; like the other programs, it saves no checkpoints before the end
    """
    return {
        "seed": seed,
        "env": {"id": task.env},
        "parallel": {"mode": "sequential", "num_envs": task.num_envs},
        "agent": {"id": task.algorithm, "threads": 1, "device": "cpu", "params": task.params},
        "train": {
            "total_steps": steps,
            "callbacks": [{"type": "checkpoint", "params": {"interval": steps, "self_test": False}}],
        },
        "eval": {"every_steps": eval_every, "episodes": EVAL_EPISODES},
    }


def make_zoo_parameters(task: Task, steps: int) -> dict[str, Any]:
    """
    :param task: the training
    :param steps: environment transitions
    :return: hyperparameters in RL Zoo's format
    """
    params = {name: f"lin_{value[7:-1]}" if isinstance(value, str) else value for name, value in task.params.items()}
    if "policy_kwargs" in params:
        params["policy_kwargs"] = (
            f"dict({', '.join(f'{name}={value}' for name, value in params['policy_kwargs'].items())})"
        )
    return {"n_envs": task.num_envs, "n_timesteps": steps, "policy": "MlpPolicy", **params}


def run(command: Sequence[str], folder: Path) -> Cost:
    """
    :param command: command of a process
    :param folder: its working directory
    :return: its duration
    :raises subprocess.CalledProcessError: if it fails
    """
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""}
    before, began_at = _read_children_seconds(), time.perf_counter()
    subprocess.run(command, cwd=folder, env=environment, stdout=subprocess.DEVNULL, check=True)
    return Cost(time.perf_counter() - began_at, _read_children_seconds() - before)


def _read_children_seconds() -> float:
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def compute_medians(costs: Sequence[Cost]) -> Cost:
    """
    :param costs: durations of all repeats
    :return: medians of both numbers
    """
    return Cost(
        statistics.median(cost.seconds for cost in costs), statistics.median(cost.cpu_seconds for cost in costs)
    )


def print_tables(results: dict[str, dict[str, list[Cost]]]) -> None:
    """Print medians, spreads and, against RL Zoo or else SB3 or the last program, ratios of the time."""
    for name, found in results.items():
        medians = {program: compute_medians(costs) for program, costs in found.items()}
        other = next((program for program in ("RL Zoo", "SB3") if program in medians), list(medians)[-1])
        print(f"\n| {name} | seconds | fastest to slowest | of {other} | processor seconds | of {other} |")
        print("|---|---|---|---|---|---|")
        for program, median in medians.items():
            seconds = [cost.seconds for cost in found[program]]
            shares = median.seconds / medians[other].seconds, median.cpu_seconds / medians[other].cpu_seconds
            print(
                f"| {program} | {median.seconds:.1f} | {min(seconds):.1f} to {max(seconds):.1f} | {shares[0]:.2f} "
                f"| {median.cpu_seconds:.1f} | {shares[1]:.2f} |"
            )


def describe(results: dict[str, dict[str, list[Cost]]], repeats: int) -> dict[str, Any]:
    """
    :param results: of :func:`measure`, by task
    :param repeats: how often each was measured
    :return: plain JSON values
    """
    tasks = {
        name: {program: [vars(cost) for cost in costs] for program, costs in found.items()}
        for name, found in results.items()
    }
    return {"processor": platform.processor(), "cores": os.cpu_count(), "repeats": repeats, "tasks": tasks}


def read_results(paths: Sequence[Path]) -> dict[str, dict[str, list[Cost]]]:
    """
    :param paths: files that ``--json`` has written
    :return: what they have, as from :func:`measure`, by task
    """
    tasks = [item for path in paths for item in json.loads(path.read_text())["tasks"].items()]
    return {
        name: {program: [Cost(**cost) for cost in costs] for program, costs in found.items()} for name, found in tasks
    }


def draw(results: dict[str, dict[str, list[Cost]]], path: Path) -> None:
    """
    Draw the medians of the processor time, a panel a task.

    :param results: of :func:`measure`, by task
    :param path: of the picture
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(4 * len(results), 3), layout="constrained")
    for axes, (name, found) in zip(figure.subplots(1, len(results), squeeze=False)[0], results.items(), strict=True):
        medians = {program: compute_medians(costs).cpu_seconds for program, costs in found.items()}
        bars = axes.barh(list(medians), list(medians.values()))
        axes.bar_label(bars, fmt="%.0f s", padding=2)
        axes.margins(x=0.25)
        axes.invert_yaxis()
        axes.set_title(f"{TASKS[name].algorithm.upper()}, {TASKS[name].env}")
        axes.set_xlabel("processor time of the whole training [s]")
    figure.savefig(path, dpi=150)


if __name__ == "__main__":
    main()
