"""
Compare whole trainings of PPO on Procgen's coinrun: this package, and a plain SB3 script with ``SubprocVecEnv``.

``python zoo_scripts/benchmark_procgen_training.py --repeats 3 --json procgen.json``

All programs train the network and hyperparameters of ``configs/procgen_ppo_sequential.yaml``, with 32 environments and
rewards normalised: the script with one process for each environment, as SB3's documentation shows; ``sb3-ext train``
with the environments in one process, and in Procgen's own batch (``parallel.mode: native``). All use torch's default
number of threads, unless ``OMP_NUM_THREADS`` is set. They run in turn, and each repeat starts with another one.

Frames (environment transitions) per second count from the second rollout to the end of the last update, so neither the
start of the processes nor the first allocations matter. Processor time is that of all processes; other load on the
machine distorts it less. Needs the extra: pip install 'sb3-ext[procgen]'
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from itertools import pairwise
from pathlib import Path
from statistics import median
from typing import Any

import yaml
from rollout_probe import FILE_VARIABLE

CHECKOUT = Path(__file__).parents[1]
CONFIG = CHECKOUT / "configs" / "procgen_ppo_sequential.yaml"
STOCK = "SB3, SubprocVecEnv"

_SCRIPT = """
import json, sys
import sb3_ext_envs  # registers Procgen's games with Gymnasium
from stable_baselines3 import PPO
from stable_baselines3.common.env_util import make_vec_env
from stable_baselines3.common.vec_env import SubprocVecEnv, VecNormalize
from rollout_probe import RolloutProbe

if __name__ == "__main__":
    config, steps = json.loads(sys.argv[1]), int(sys.argv[2])
    env, agent = config["env"], config["agent"]
    venv = make_vec_env(
        env["id"],
        config["parallel"]["num_envs"],
        seed=config["seed"],
        env_kwargs=env["params"],
        vec_env_cls=SubprocVecEnv,
    )
    venv = VecNormalize(venv, gamma=agent["params"]["gamma"], **env["normalize"])
    model = PPO(agent["policy"], venv, device=agent["device"], seed=config["seed"], **agent["params"])
    model.learn(steps, callback=RolloutProbe())
    venv.close()
"""


@dataclass(frozen=True)
class Speed:
    """
    Microseconds per environment transition, without the first rollout and its update.

    :param collecting: on the clock, of rollouts
    :param updating: on the clock, of updates
    :param processor_collecting: of all processors, of rollouts
    :param processor_updating: of all processors, of updates
    """

    collecting: float
    updating: float
    processor_collecting: float
    processor_updating: float

    @property
    def frames_per_second(self) -> float:
        """Transitions per second on the clock."""
        return 1e6 / (self.collecting + self.updating)

    @property
    def frames_per_processor_second(self) -> float:
        """Transitions per second of processor time."""
        return 1e6 / (self.processor_collecting + self.processor_updating)


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure, print a table, and write the file that the option names."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=3, help="trainings with each program")
    parser.add_argument("--rollouts", type=int, default=4, help="of each training, the first one included")
    parser.add_argument("--json", type=Path, help="write all measurements to this file")
    parser.add_argument("--smoke", action="store_true", help="two short rollouts with few environments, once")
    options = parser.parse_args(arguments)
    config = yaml.safe_load(CONFIG.read_text())
    if options.smoke:
        options.repeats, options.rollouts, config["parallel"]["num_envs"] = 1, 2, 2
        config["agent"]["params"] |= {"n_steps": 16, "batch_size": 16, "n_epochs": 1}
    found = measure(config, options.repeats, options.rollouts)
    print_table(found)
    if options.json is not None:
        rows = {name: [asdict(speed) for speed in speeds] for name, speeds in found.items()}
        options.json.write_text(json.dumps({"cores": os.cpu_count(), "programs": rows}, indent=2) + "\n")


def measure(config: dict[str, Any], repeats: int, rollouts: int) -> dict[str, list[Speed]]:
    """
    Run the training with each program in turn.

    :param config: configuration of the training
    :param repeats: number of repeats
    :param rollouts: number of rollouts of each training, at least 2
    :return: speeds by program
    """
    found: dict[str, list[Speed]] = {}
    for repeat in range(repeats):
        with tempfile.TemporaryDirectory() as folder:
            commands = list_commands(config, rollouts, Path(folder))
            names = list(commands)
            for name in names[repeat % len(names) :] + names[: repeat % len(names)]:
                found.setdefault(name, []).append(run(commands[name], Path(folder)))
                print(f"{name}: {found[name][-1].frames_per_second:.0f} FPS", file=sys.stderr, flush=True)
    return found


def list_commands(config: dict[str, Any], rollouts: int, folder: Path) -> dict[str, list[str]]:
    """
    :param config: configuration of the training
    :param rollouts: number of rollouts
    :param folder: directory for all files
    :return: commands by program
    """
    steps = rollouts * config["parallel"]["num_envs"] * config["agent"]["params"]["n_steps"]
    script, commands = folder / "script.py", {}
    script.write_text(_SCRIPT)
    commands[STOCK] = [sys.executable, str(script), json.dumps(config), str(steps)]
    for mode in ("sequential", "native"):
        path = folder / f"{mode}.yaml"
        path.write_text(yaml.safe_dump(make_config(config, mode, steps)))
        command = ["-m", "sb3_ext", "train", str(path), "--run-dir", str(folder / mode)]
        commands[f"sb3_ext, {mode}"] = [sys.executable, *command]
    return commands


def make_config(config: dict[str, Any], mode: str, steps: int) -> dict[str, Any]:
    """
    :param config: configuration of the training
    :param mode: where the environments are stepped
    :param steps: environment transitions
    :return: the same without evaluations and without checkpoints before the end, with the engine that ``auto`` chooses
        for a long training
    """
    callbacks = [
        {"type": "checkpoint", "params": {"interval": steps, "self_test": False}},
        {"type": "rollout_probe:RolloutProbe"},
    ]
    return {
        **config,
        "parallel": {**config["parallel"], "mode": mode},
        "agent": {**config["agent"], "engine": "torch"},
        "train": {**config["train"], "total_steps": steps, "callbacks": callbacks},
        "eval": {**config["eval"], "every_steps": None},
    }


def run(command: Sequence[str], folder: Path) -> Speed:
    """
    :param command: command of a training
    :param folder: its working directory
    :return: its speed
    :raises RuntimeError: if it fails
    """
    probe, log = folder / "probe.json", folder / "output.txt"
    paths = os.pathsep.join(map(str, (CHECKOUT, CHECKOUT / "envs", Path(__file__).parent)))
    environment = {**os.environ, "PYTHONPATH": paths, FILE_VARIABLE: str(probe)}
    with log.open("w") as output:
        status = subprocess.run(command, cwd=folder, env=environment, stdout=output, stderr=output).returncode
    if status:
        raise RuntimeError(f"{' '.join(command)} ended with {status}:\n{log.read_text()}")
    steps, times = json.loads(probe.read_text())
    return summarize(steps, times)


def summarize(steps: int, times: Sequence[tuple[float, float]]) -> Speed:
    """
    :param steps: transitions of a rollout
    :param times: seconds on the clock and of all processors at the start and end of each rollout, and at the end
    :return: means of all rollouts but the first
    """
    counted = times[2:]
    numbers = []
    for clock in range(2):
        spans = [after[clock] - before[clock] for before, after in pairwise(counted)]
        numbers += [1e6 * sum(spans[start::2]) / (len(spans[start::2]) * steps) for start in range(2)]
    return Speed(*numbers)


def print_table(found: dict[str, list[Speed]]) -> None:
    """Print medians, spreads, and ratios of frames per second to those of SB3."""
    stock = found[STOCK]
    titles = ("FPS", "slowest to fastest", "of SB3", "collecting", "updating", "FPS of one processor", "of SB3")
    print(f"\n| program | {' | '.join(titles)} |")
    print("|---" * (len(titles) + 1) + "|")
    for name, speeds in found.items():
        frames = [speed.frames_per_second for speed in speeds]
        spent = median(speed.frames_per_processor_second for speed in speeds)
        ratio = median(frames) / median(speed.frames_per_second for speed in stock)
        spent_ratio = spent / median(speed.frames_per_processor_second for speed in stock)
        parts = [median(getattr(speed, part) for speed in speeds) for part in ("collecting", "updating")]
        print(
            f"| {name} | {median(frames):.0f} | {min(frames):.0f} to {max(frames):.0f} | {ratio:.2f} "
            f"| {parts[0]:.0f} µs | {parts[1]:.0f} µs | {spent:.0f} | {spent_ratio:.2f} |"
        )


if __name__ == "__main__":
    main()
