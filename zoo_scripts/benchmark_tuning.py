"""
Tuning beside RL Baselines3 Zoo's: the same trials, steps, sampler and pruner, on the same machine.

``python zoo_scripts/benchmark_tuning.py --zoo-python /path/to/zoo/bin/python``

Both tune PPO on CartPole-v1 with as many jobs, one after the other and alternating, each time from nothing; what counts
is trials per hour, and of several repetitions the median. RL Zoo stands in an environment of its own
(``pip install rl_zoo3``), since it pins its own versions. With ``--check`` the best configuration is then trained with
fresh seeds, beside the defaults, until an evaluation reaches 475: the steps that each of them needs.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import yaml

from sb3_ext import train
from sb3_ext.config import load_config
from sb3_ext.reports.evaluations import read_evaluations

ENV, TARGET = "CartPole-v1", 475.0
EVALUATIONS, EPISODES, STARTUP_TRIALS = 4, 5, 5


def tune_here(directory: Path, trials: int, steps: int, jobs: int) -> float:
    """
    :param directory: empty
    :param trials: how many
    :param steps: of each
    :param jobs: at a time
    :return: seconds that the command took
    """
    every_steps = steps // EVALUATIONS
    config = {
        "env": {"id": ENV},
        "agent": {"id": "ppo", "device": "cpu"},
        "train": {"total_steps": steps},
        "eval": {"every_steps": every_steps, "episodes": EPISODES},
        "tune": {
            "trials": trials,
            "jobs": jobs,
            "space": "default",
            "sampler": {"type": "tpe", "params": {"multivariate": True}},
            "pruner": {"type": "median", "params": {"n_warmup_steps": every_steps}},
            "startup_trials": STARTUP_TRIALS,
        },
    }
    path = directory / "tuned.yaml"
    path.write_text(yaml.safe_dump(config))
    return _time([sys.executable, "-m", "sb3_ext", "tune", str(path), "--quiet"], directory)


def tune_in_zoo(python: Path, directory: Path, trials: int, steps: int, jobs: int) -> float:
    """
    :param python: of the environment that has rl_zoo3
    :param directory: empty
    :param trials: how many
    :param steps: of each
    :param jobs: at a time
    :return: seconds that the command took
    """
    hyperparameters = directory / "ppo.yml"
    hyperparameters.write_text(yaml.safe_dump({ENV: {"policy": "MlpPolicy", "n_timesteps": steps}}))
    options: dict[str, Any] = {
        "algo": "ppo",
        "env": ENV,
        "n-timesteps": steps,
        "n-trials": trials,
        "n-jobs": jobs,
        "sampler": "tpe",
        "pruner": "median",
        "n-startup-trials": STARTUP_TRIALS,
        "n-evaluations": EVALUATIONS,
        "eval-episodes": EPISODES,
        "conf-file": hyperparameters,
        "log-folder": directory / "logs",
        "study-name": "zoo",
        "storage": f"sqlite:///{directory / 'zoo.db'}",
        "device": "cpu",
        "verbose": 0,
    }
    arguments = [text for name, value in options.items() for text in (f"--{name}", str(value))]
    return _time([str(python), "-m", "rl_zoo3.train", *arguments, "--optimize-hyperparameters"], directory)


def count_steps_to_target(config: Any, directory: Path, seeds: list[int], longest_steps: int) -> list[int | None]:
    """
    :param config: as for :func:`sb3_ext.train`
    :param directory: empty
    :param seeds: one a training
    :param longest_steps: after which a training ends anyway
    :return: the step at which an evaluation first reached the target, for each seed; ``None`` if none did
    """
    found: list[int | None] = []
    for seed in seeds:
        overrides = [f"train.total_steps={longest_steps}", "eval.every_steps=1000", "eval.episodes=20", f"seed={seed}"]
        overrides += [f"early_stopping.target.return={TARGET}", "early_stopping.target.by=evaluation"]
        overrides += ["early_stopping.target.window=1", "early_stopping.target.patience=1"]
        run = train(config, run_dir=directory / f"seed_{seed}", overrides=overrides)
        reached = [item["step"] for item in read_evaluations(run.paths.evaluations) if item["mean_return"] >= TARGET]
        found.append(min(reached, default=None))
    return found


def _time(command: list[str], directory: Path) -> float:
    began_at = time.monotonic()
    with (directory / "output.txt").open("w") as output:
        subprocess.run(command, cwd=directory, stdout=output, stderr=output, check=True)
    return time.monotonic() - began_at


def _compare(arguments: argparse.Namespace) -> dict[str, Any]:
    sizes = (arguments.trials, arguments.steps, arguments.jobs)
    seconds: dict[str, list[float]] = {"sb3-ext": [], "rl_zoo3": []}
    for _ in range(arguments.repetitions):
        with tempfile.TemporaryDirectory() as directory:
            seconds["sb3-ext"].append(tune_here(Path(directory), *sizes))
        if arguments.zoo_python is not None:
            with tempfile.TemporaryDirectory() as directory:
                seconds["rl_zoo3"].append(tune_in_zoo(arguments.zoo_python, Path(directory), *sizes))
    rates = {name: arguments.trials * 3600 / statistics.median(found) for name, found in seconds.items() if found}
    for name, rate in rates.items():
        print(f"{name:8} {rate:7.0f} trials an hour (median of {len(seconds[name])})")
    if len(rates) == 2:
        print(f"ratio    {rates['sb3-ext'] / rates['rl_zoo3']:7.2f}")
    return {"seconds": seconds, "trials_per_hour": rates}


def _check_best(arguments: argparse.Namespace) -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as text:
        directory = Path(text)
        command = [
            sys.executable,
            "-m",
            "sb3_ext",
            "tune",
            "cartpole_ppo_tune",
            "--jobs",
            str(arguments.jobs),
            "--quiet",
        ]
        _time(command, directory)
        seeds = [101, 102, 103]
        best = load_config(directory / "runs/cartpole_ppo_tune/best.yaml")
        defaults = {"env": {"id": ENV}, "parallel": {"num_envs": 8}, "agent": {"id": "ppo"}}
        found = {
            "best": count_steps_to_target(
                directory / "runs/cartpole_ppo_tune/best.yaml", directory / "a", seeds, 300_000
            ),
            "defaults": count_steps_to_target(defaults, directory / "b", seeds, 300_000),
        }
        for name, steps in found.items():
            print(f"{name:8} reaches {TARGET:g} after {steps} steps")
        return {**found, "params": best.agent.params}


def main() -> int:
    """:return: the exit status"""
    parser = argparse.ArgumentParser(description=(__doc__ or "").strip().partition("\n")[0])
    parser.add_argument("--zoo-python", type=Path, help="of an environment with rl_zoo3; without it only ours is timed")
    parser.add_argument("--trials", type=int, default=30)
    parser.add_argument("--steps", type=int, default=20_000)
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--repetitions", type=int, default=3)
    parser.add_argument("--check", action="store_true", help="train the best configuration, and the defaults")
    parser.add_argument("--json", type=Path, help="write what was measured")
    arguments = parser.parse_args()
    found = _compare(arguments) if arguments.repetitions else {}
    if arguments.check:
        found["check"] = _check_best(arguments)
    if arguments.json is not None:
        arguments.json.write_text(json.dumps(found, indent=2) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
