"""
Compare tuning with RL Baselines3 Zoo's: the same trials, steps, pruner and jobs, on the same machine.

``python zoo_scripts/benchmark_tuning.py --zoo-python /path/to/zoo/bin/python``

Both tune PPO on CartPole-v1, one after the other, each time from nothing; what counts is trials per hour, and of
several repetitions the median. How long a trial takes depends on its values more than on anything else (its batch size
above all), so both try the same ones: SB3's defaults, then random ones from RL Zoo's own space, queued in both studies
beforehand. With ``--own-values`` each samples its own, with TPE, from its own space.

RL Zoo stands in an environment of its own (``pip install rl_zoo3 pandas``), since it pins its own versions. With
``--check`` the best configuration is trained with fresh seeds, beside the defaults, until an evaluation reaches 475:
the steps that each of them needs.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import optuna
import yaml
from optuna.storages import BaseStorage, JournalStorage
from optuna.storages.journal import JournalFileBackend

from sb3_ext import train
from sb3_ext.config import load_config
from sb3_ext.reports.evaluations import read_evaluations
from sb3_ext.tuning.plan import make_plan
from sb3_ext.tuning.study import open_study

ENV, TARGET = "CartPole-v1", 475.0
EVALUATIONS, EPISODES, STARTUP_TRIALS = 4, 5, 5

Values = dict[str, Any]

ZOO_SPACE: dict[str, tuple[str, dict[str, Any]]] = {
    "batch_size_pow": ("batch_size", {"type": "int", "low": 2, "high": 10, "expression": "power_of_two"}),
    "n_steps_pow": ("n_steps", {"type": "int", "low": 5, "high": 12, "expression": "power_of_two"}),
    "one_minus_gamma": ("gamma", {"type": "float", "low": 1e-4, "high": 0.03, "log": True, "expression": "one_minus"}),
    "one_minus_gae_lambda": (
        "gae_lambda",
        {"type": "float", "low": 1e-4, "high": 0.1, "log": True, "expression": "one_minus"},
    ),
    "learning_rate": ("learning_rate", {"type": "float", "low": 1e-5, "high": 2e-3, "log": True}),
    "ent_coef": ("ent_coef", {"type": "float", "low": 1e-8, "high": 0.1, "log": True}),
    "clip_range": ("clip_range", {"type": "categorical", "choices": [0.1, 0.2, 0.3, 0.4]}),
    "n_epochs": ("n_epochs", {"type": "categorical", "choices": [1, 5, 10, 20]}),
    "max_grad_norm": ("max_grad_norm", {"type": "float", "low": 0.3, "high": 2.0}),
    "net_arch": (
        "policy_kwargs.net_arch",
        {"type": "categorical", "choices": {"tiny": [64], "small": [64, 64], "medium": [256, 256]}},
    ),
    "activation_fn": (
        "policy_kwargs.activation_fn",
        {"type": "categorical", "choices": {"tanh": "Tanh", "relu": "ReLU"}},
    ),
}
"""RL Zoo's space for PPO (2.9): its name for what is sampled -> SB3's parameter, and the dimension as we say it."""

ZOO_DEFAULTS: Values = {
    "batch_size_pow": 6,
    "n_steps_pow": 11,
    "one_minus_gamma": 0.01,
    "one_minus_gae_lambda": 0.05,
    "learning_rate": 3e-4,
    "ent_coef": 1e-8,
    "clip_range": 0.2,
    "n_epochs": 10,
    "max_grad_norm": 0.5,
    "net_arch": "small",
    "activation_fn": "tanh",
}
_ENQUEUE = """
import json, sys, optuna
storage, values = json.loads(sys.stdin.read())
storage = optuna.storages.JournalStorage(optuna.storages.journal.JournalFileBackend(storage))
study = optuna.create_study(study_name="zoo", storage=storage, direction="maximize")
for item in values:
    study.enqueue_trial(item)
"""


@dataclass(frozen=True)
class Tuned:
    """
    :param seconds: that the command took
    :param states: how many trials ended how
    :param errors: how many trials ended with an exception, which RL Zoo counts as pruned
    :param default_seconds: that the first trial took; of SB3's defaults, unless each samples its own
    :param complete_seconds: that the median of the complete trials took
    """

    seconds: float
    states: dict[str, int]
    errors: int
    default_seconds: float
    complete_seconds: float


def draw_values(count: int, seed: int) -> list[Values]:
    """
    :param count: how many
    :param seed: of the random ones
    :return: SB3's defaults and then random ones, by RL Zoo's names
    """
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=seed))
    return [ZOO_DEFAULTS, *(_draw(study.ask()) for _ in range(count - 1))]


def _draw(trial: optuna.Trial) -> Values:
    values: Values = {}
    for name, (_, space) in ZOO_SPACE.items():
        if space["type"] == "categorical":
            values[name] = trial.suggest_categorical(name, list(space["choices"]))
        elif space["type"] == "int":
            values[name] = trial.suggest_int(name, space["low"], space["high"])
        else:
            values[name] = trial.suggest_float(name, space["low"], space["high"], log=space.get("log", False))
    return values


def tune_here(directory: Path, trials: int, steps: int, jobs: int, values: Sequence[Values]) -> Tuned:
    """
    :param directory: empty
    :param trials: how many
    :param steps: of each
    :param jobs: at a time
    :param values: of the trials; empty to sample them
    :return: how it went
    """
    every_steps = steps // EVALUATIONS
    network = {"net_arch": [64, 64], "activation_fn": "Tanh"}
    config = {
        "env": {"id": ENV},
        "agent": {"id": "ppo", "device": "cpu", "params": {"policy_kwargs": network}},
        "train": {"total_steps": steps},
        "eval": {"every_steps": every_steps, "episodes": EPISODES},
        "tune": {
            "trials": trials,
            "jobs": jobs,
            "space": {f"agent.params.{name}": space for name, space in ZOO_SPACE.values()} if values else "default",
            "sampler": {"type": "tpe", "params": {"multivariate": True}},
            "pruner": {"type": "median", "params": {"n_warmup_steps": every_steps}},
            "startup_trials": STARTUP_TRIALS,
        },
    }
    path, place = directory / "tuned.yaml", directory / "runs/tuned"
    path.write_text(yaml.safe_dump(config))
    if values:
        study = open_study(make_plan(path, directory=place)).study  # which has queued the defaults already
        for item in values[1:]:
            study.enqueue_trial({f"agent.params.{ZOO_SPACE[name][0]}": value for name, value in item.items()})
    seconds = _time([sys.executable, "-m", "sb3_ext", "tune", str(path), "--quiet"], directory)
    return _judge(f"sqlite:///{place / 'study.db'}", seconds, trials)


def tune_in_zoo(python: Path, directory: Path, trials: int, steps: int, jobs: int, values: Sequence[Values]) -> Tuned:
    """
    :param python: of the environment that has rl_zoo3
    :param directory: empty
    :param trials: how many
    :param steps: of each
    :param jobs: at a time
    :param values: of the trials; empty to sample them
    :return: how it went
    """
    # RL Zoo's jobs are threads. From a database they may take the same queued trial; from a journal they do not.
    hyperparameters, journal = directory / "ppo.yml", directory / "zoo.log"
    hyperparameters.write_text(yaml.safe_dump({ENV: {"policy": "MlpPolicy", "n_timesteps": steps}}))
    if values:
        order = json.dumps([str(journal), list(values)])
        subprocess.run([python, "-c", _ENQUEUE], input=order, text=True, check=True, capture_output=True)
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
        "storage": journal,
        "device": "cpu",
        "verbose": 0,
    }
    arguments = [text for name, value in options.items() for text in (f"--{name}", str(value))]
    seconds = _time([str(python), "-m", "rl_zoo3.train", *arguments, "--optimize-hyperparameters"], directory)
    errors = (directory / "output.txt").read_text().count("Sampled hyperparams:")
    return _judge(JournalStorage(JournalFileBackend(str(journal))), seconds, trials, errors)


def _judge(storage: str | BaseStorage, seconds: float, trials: int, errors: int = 0) -> Tuned:
    """The trials of a storage's only study."""
    found = optuna.load_study(study_name=None, storage=storage).trials
    states = Counter(trial.state.name for trial in found)
    if len(found) != trials or set(states) - {"COMPLETE", "PRUNED"}:
        raise RuntimeError(f"not the {trials} trials that were asked for: {dict(states)}")
    durations = [trial.duration.total_seconds() for trial in found if trial.duration is not None]
    complete = [took for trial, took in zip(found, durations, strict=True) if trial.state.name == "COMPLETE"]
    return Tuned(seconds, dict(states), errors, durations[0], statistics.median(complete))


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
    path = directory / "output.txt"
    with path.open("w") as output:
        status = subprocess.run(command, cwd=directory, stdout=output, stderr=output).returncode
    if status:
        raise RuntimeError(f"{' '.join(command)} ended with {status}:\n{path.read_text()[-2000:]}")
    return time.monotonic() - began_at


def _compare(arguments: argparse.Namespace) -> dict[str, Any]:
    sizes = (arguments.trials, arguments.steps, arguments.jobs)
    found: dict[str, list[Tuned]] = {"sb3-ext": [], "rl_zoo3": []}
    for repetition in range(arguments.repetitions):
        values = [] if arguments.own_values else draw_values(arguments.trials, seed=repetition)
        with tempfile.TemporaryDirectory() as directory:
            found["sb3-ext"].append(tune_here(Path(directory), *sizes, values))
        if arguments.zoo_python is not None:
            with tempfile.TemporaryDirectory() as directory:
                found["rl_zoo3"].append(tune_in_zoo(arguments.zoo_python, Path(directory), *sizes, values))
    seconds = {name: statistics.median(item.seconds for item in items) for name, items in found.items() if items}
    for name, took in seconds.items():
        print(f"{name:8} {arguments.trials * 3600 / took:7.0f} trials an hour (median of {len(found[name])})")
        for item in found[name]:
            states = ", ".join(f"{count} {state.lower()}" for state, count in sorted(item.states.items()))
            print(
                f"         {item.seconds:7.1f} s: {states}, {item.errors} of them with an error; "
                f"the first took {item.default_seconds:.1f} s, the median complete one {item.complete_seconds:.1f} s"
            )
    if len(seconds) == 2:
        print(f"ratio    {seconds['rl_zoo3'] / seconds['sb3-ext']:7.2f}")
    return {name: [asdict(item) for item in items] for name, items in found.items()}


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
    parser.add_argument("--own-values", action="store_true", help="each samples its own, from its own space")
    parser.add_argument("--check", action="store_true", help="train the best configuration, and the defaults")
    parser.add_argument("--json", type=Path, help="write what was measured")
    arguments = parser.parse_args()
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    found = _compare(arguments) if arguments.repetitions else {}
    if arguments.check:
        found["check"] = _check_best(arguments)
    if arguments.json is not None:
        arguments.json.write_text(json.dumps(found, indent=2) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
