"""
Measure how long a command takes to start and to end: from the command to the first training step, and from the last
training step to the prompt, with the final evaluation and all files.

``python zoo_scripts/benchmark_start.py --earlier /path/to/an/older/checkout --zoo-python /path/to/zoo/bin/python``

Each contender trains a few steps of PPO and of DQN on CartPole-v1, with RL Baselines3 Zoo's hyperparameters; in turn,
so that the load of the machine affects all of them alike. The table has medians of processor time, which depends less
on the load than the time on the clock; the JSON file has both. The older checkout runs with this environment's
packages; RL Zoo needs an environment of its own (``pip install rl_zoo3``). Commands that train nothing are measured
from the start to the end of the process.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import yaml

ENV, STEPS = "CartPole-v1", 64
HYPERPARAMETERS: dict[str, dict[str, Any]] = {
    "ppo": {"n_steps": 32, "batch_size": 256, "n_epochs": 20, "gamma": 0.98, "gae_lambda": 0.8, "learning_rate": 1e-3},
    "dqn": {"learning_rate": 2.3e-3, "batch_size": 64, "buffer_size": 100_000, "learning_starts": 16, "train_freq": 32},
}
NUM_ENVS = {"ppo": 8, "dqn": 1}
START, END, WHOLE = "command to first step", "last step to prompt", "whole command"
# Private, as part of a library: before other modules of the user's, sb3_ext imports parts of torch that it skips else.
_MODULE = "_start_probe"
_PROBE = """
import json, os, resource, time
from stable_baselines3.common.callbacks import BaseCallback

def read_clocks():
    users = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return [time.monotonic(), sum(usage.ru_utime + usage.ru_stime for usage in users)]

class Probe(BaseCallback):
    first = last = None

    def _on_step(self):
        self.last = read_clocks()
        self.first = self.first or self.last
        return True

    def _on_training_end(self):
        with open(os.environ["START_PROBE"], "w") as file:
            json.dump([self.first, self.last], file)
"""


@dataclass(frozen=True)
class Duration:
    """
    :param wall_seconds: time on the clock
    :param processor_seconds: of the process and its children
    """

    wall_seconds: float
    processor_seconds: float


@dataclass(frozen=True)
class Contender:
    """
    :param name: in the table
    :param python: the interpreter
    :param checkout: a checkout of this repository to run instead of the installed package
    :param is_zoo: whether it is RL Zoo
    """

    name: str
    python: str
    checkout: Path | None = None
    is_zoo: bool = False


def measure_training(contender: Contender, algorithm: str, directory: Path) -> dict[str, Duration]:
    """
    :param contender: what trains
    :param algorithm: ``ppo`` or ``dqn``
    :param directory: empty
    :return: how long start and end took
    """
    (directory / f"{_MODULE}.py").write_text(_PROBE)
    probe = directory / "probe.json"
    make = _make_zoo_command if contender.is_zoo else _make_command
    launched_at = time.monotonic()
    whole = _measure(contender, make(algorithm, directory), directory, {"START_PROBE": str(probe)})
    first, last = ((wall - launched_at, processor) for wall, processor in json.loads(probe.read_text()))
    return {START: Duration(*first), END: Duration(whole.wall_seconds - last[0], whole.processor_seconds - last[1])}


def measure_command(contender: Contender, words: Sequence[str], directory: Path) -> dict[str, Duration]:
    """
    :param contender: not RL Zoo
    :param words: of the command, after ``sb3-ext``
    :param directory: where it is called
    :return: how long the command took
    """
    return {WHOLE: _measure(contender, ["-m", "sb3_ext", *words], directory, {})}


def _make_command(algorithm: str, directory: Path) -> list[str]:
    config = {
        "seed": 1,
        "env": {"id": ENV},
        "parallel": {"mode": "sequential", "num_envs": NUM_ENVS[algorithm]},
        "agent": {"id": algorithm, "device": "cpu", "params": HYPERPARAMETERS[algorithm]},
        "train": {"total_steps": STEPS, "callbacks": [{"type": f"{_MODULE}:Probe"}]},
    }
    path = directory / "start.yaml"
    path.write_text(yaml.safe_dump(config))
    return ["-m", "sb3_ext", "train", str(path), "--run-dir", str(directory / "run")]


def _make_zoo_command(algorithm: str, directory: Path) -> list[str]:
    settings = {"n_envs": NUM_ENVS[algorithm], "n_timesteps": STEPS, "policy": "MlpPolicy"}
    path = directory / "zoo.yml"
    path.write_text(yaml.safe_dump({ENV: {**settings, **HYPERPARAMETERS[algorithm], "callback": f"{_MODULE}.Probe"}}))
    options = {"algo": algorithm, "env": ENV, "conf-file": path, "log-folder": directory / "logs", "device": "cpu"}
    words = [text for name, value in options.items() for text in (f"--{name}", str(value))]
    return ["-m", "rl_zoo3.train", *words, "--tensorboard-log", str(directory / "tensorboard")]


def _measure(contender: Contender, words: Sequence[str], directory: Path, variables: Mapping[str, str]) -> Duration:
    paths = [] if contender.checkout is None else [contender.checkout, contender.checkout / "envs"]
    environment = {**os.environ, **variables, "PYTHONPATH": os.pathsep.join(map(str, [*paths, directory]))}
    environment.pop("PYTHONDONTWRITEBYTECODE", None)  # every process would compile what is not compiled yet
    log = directory / "output.txt"
    began_at = time.monotonic()
    with log.open("w") as output:
        process = subprocess.Popen(
            [contender.python, *words], cwd=directory, env=environment, stdout=output, stderr=output
        )
        _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise RuntimeError(f"{' '.join(map(str, process.args))} ended with {process.returncode}:\n{log.read_text()}")
    return Duration(time.monotonic() - began_at, usage.ru_utime + usage.ru_stime)


def measure_all(contenders: Sequence[Contender], repeats: int) -> dict[str, dict[str, list[Duration]]]:
    """
    Measure in turn; the first measurement of each contender, which fills caches, does not count.

    :param contenders: what is compared
    :param repeats: measurements of each
    :return: for each work, the durations of each contender
    """
    found: dict[str, dict[str, list[Duration]]] = {}
    for repeat in range(-1, repeats):
        for contender in contenders:
            durations: dict[str, Duration] = {}
            for algorithm in HYPERPARAMETERS:
                with tempfile.TemporaryDirectory() as text:
                    directory = Path(text)
                    parts = measure_training(contender, algorithm, directory)
                    durations |= {f"{algorithm}: {part}": duration for part, duration in parts.items()}
                    if algorithm == "ppo" and not contender.is_zoo:
                        for words in (["--help"], ["runs", "list", "--root", "."], ["enjoy", "run"]):
                            [duration] = measure_command(contender, words, directory).values()
                            durations[f"sb3-ext {' '.join(words)}"] = duration
            if repeat >= 0:
                for work, duration in durations.items():
                    found.setdefault(work, {}).setdefault(contender.name, []).append(duration)
    return found


def print_table(found: Mapping[str, Mapping[str, Sequence[Duration]]], contenders: Sequence[Contender]) -> None:
    """
    Print medians of processor time, and their ratios to the first contender's.

    :param found: from :func:`measure_all`
    :param contenders: the columns
    """
    first, *others = [contender.name for contender in contenders]
    ratios = [f"{first} / {name}" for name in others]
    print("processor seconds".ljust(32) + "".join(title.rjust(20) for title in (first, *others, *ratios)))
    for work, durations in found.items():
        medians = {
            name: statistics.median(duration.processor_seconds for duration in items)
            for name, items in durations.items()
        }
        cells = [f"{medians[name]:.2f}" if name in medians else "" for name in (first, *others)]
        cells += [f"{medians[first] / medians[name]:.2f}" if name in medians else "" for name in others]
        print(work.ljust(32) + "".join(cell.rjust(20) for cell in cells))


def main() -> int:
    """:return: the exit status"""
    parser = argparse.ArgumentParser(description=(__doc__ or "").strip().partition("\n\n")[0].replace("\n", " "))
    parser.add_argument("--earlier", type=Path, help="an older checkout of this repository")
    parser.add_argument("--zoo-python", type=Path, help="the interpreter of an environment with rl_zoo3")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--json", type=Path, help="write all measurements to this file")
    arguments = parser.parse_args()
    contenders = [Contender("sb3-ext", sys.executable)]
    if arguments.earlier is not None:
        contenders.append(Contender("earlier", sys.executable, checkout=arguments.earlier.absolute()))
    if arguments.zoo_python is not None:
        contenders.append(Contender("rl_zoo3", str(arguments.zoo_python), is_zoo=True))
    found = measure_all(contenders, arguments.repeats)
    print_table(found, contenders)
    if arguments.json is not None:
        rows = {
            work: {name: [asdict(duration) for duration in items] for name, items in durations.items()}
            for work, durations in found.items()
        }
        arguments.json.write_text(json.dumps(rows, indent=2) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
