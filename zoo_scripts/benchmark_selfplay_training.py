"""
Measure plies per second of a training in self-play, compared with an earlier checkout, and where the time goes.

``python zoo_scripts/benchmark_selfplay_training.py --earlier /path/to/an/older/checkout --py-spy /path/to/py-spy``

Each program trains ``connect4_without_lookahead.yaml`` in a process of its own, in turn. A ply is a move of one player:
a step has two, except on mirror boards, of which this configuration has none. Snapshots are added early and often, and
the first half of each training does not count, so that the pool of opponents is full. The figures are medians over all
rollouts with their updates, callbacks and checkpoints included; processor time depends less on other load than the time
on the clock. ``OMP_NUM_THREADS=1`` limits all programs to one thread. The older checkout runs with this environment's
packages, and its own engine. With py-spy, one more training is sampled 200 times per second.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import pairwise
from pathlib import Path
from statistics import median

import torch
from rollout_probe import FILE_VARIABLE

CONFIG = str(Path(__file__).with_name("connect4_without_lookahead.yaml"))
PLIES_PER_STEP = 2
_POOL = "train.opponent_sampler.params.self_play"
# Multiplications for a position: convolution, its linear layer, and the hidden and last layers of policy and value.
_LAYERS = {"convolution": 12 * 64 * 32, "linear": 768 * 128, "heads": 2 * 128 * 64 + 64 * 8}
_EPOCHS = 3

PARTS: Mapping[str, Sequence[str]] = {
    "checkpoints": ("RunCheckpointCallback", "OpponentPoolCallback"),
    "evaluation": ("EvaluationCallback",),
    "update: minibatches": ("MinibatchReader",),
    "update: forward": ("PolicyNetwork.forward",),
    "update: backward": ("PolicyNetwork.backward",),
    "update: optimizer, losses": ("TorchUpdate.__call__", "MaskablePPO.train"),
    "collecting: agent's forward pass": ("Acting.",),
    "collecting: opponents with a policy": ("PolicyOpponent.", "choose_moves"),
    "collecting: heuristics": ("RandomOpponent.act",),
    "collecting: ratings": ("RatingCallback",),
    "collecting: other callbacks": ("BaseCallback.",),
    "collecting: rules, seats, monitor": ("VecEnv.step",),
    "collecting: rest": ("MaskablePPO.learn",),
}
"""Names of functions by what they do: a sample belongs to the first part of which its stack has a function."""


@dataclass(frozen=True)
class RolloutTimes:
    """
    Microseconds per step of a rollout and its update, on the clock and of a processor.

    :param collecting: of the rollout
    :param updating: of the update
    """

    collecting: tuple[float, float]
    updating: tuple[float, float]


@dataclass(frozen=True)
class Program:
    """
    What trains.

    :param checkout: a checkout of this repository
    :param engine: one of those that it has; ``None`` if it has none
    """

    checkout: Path
    engine: str | None


def make_command(steps: int, directory: Path, engine: str | None) -> list[str]:
    """:return: arguments of the interpreter"""
    settings = {
        "train.total_steps": steps,
        "eval.every_steps": steps,
        f"{_POOL}.save_every": 1000,
        f"{_POOL}.start_episode": 200,
        "train.callbacks": "[{type: checkpoint, params: {interval: 1000000}}, {type: 'rollout_probe:RolloutProbe'}]",
    }
    if engine is not None:
        settings["agent.engine"] = engine
    words = [word for key, value in settings.items() for word in ("--set", f"{key}={value}")]
    return ["-m", "sb3_ext", "train", CONFIG, "--run-dir", str(directory / "run"), *words]


def run(checkout: Path, command: Sequence[str], directory: Path) -> list[RolloutTimes]:
    """:return: times of the rollouts in the second half of the training"""
    probe, log = directory / "probe.json", directory / "output.txt"
    paths = os.pathsep.join(map(str, [checkout, checkout / "envs", Path(__file__).parent]))
    environment = {**os.environ, "PYTHONPATH": paths, FILE_VARIABLE: str(probe)}
    with log.open("w") as output:
        status = subprocess.run(command, cwd=directory, env=environment, stdout=output, stderr=output).returncode
    if status:
        raise RuntimeError(f"{' '.join(command)} ended with {status}:\n{log.read_text()}")
    steps, times = json.loads(probe.read_text())
    spans = [[1e6 * (end - start) / steps for start, end in zip(*pair, strict=True)] for pair in pairwise(times)]
    rollouts = [RolloutTimes((a[0], a[1]), (b[0], b[1])) for a, b in zip(spans[::2], spans[1::2], strict=True)]
    return rollouts[len(rollouts) // 2 :]


def measure(program: Program, steps: int) -> list[RolloutTimes]:
    """:return: times of the rollouts of a training"""
    with tempfile.TemporaryDirectory() as text:
        command = [sys.executable, *make_command(steps, Path(text), program.engine)]
        return run(program.checkout, command, Path(text))


def sample(program: Program, steps: int, py_spy: Path) -> dict[str, float]:
    """:return: shares of the time of a training, by part"""
    with tempfile.TemporaryDirectory() as text:
        directory = Path(text)
        stacks = directory / "stacks.txt"
        options = ["--rate", "200", "--format", "raw", "--output", str(stacks)]
        command = [sys.executable, *make_command(steps, directory, program.engine)]
        run(program.checkout, [str(py_spy), "record", *options, "--", *command], directory)
        counts: Counter[str] = Counter()
        for line in stacks.read_text().splitlines():
            stack, _, count = line.rpartition(" ")
            for part, names in PARTS.items():
                if "MaskablePPO.learn" in stack and any(name in stack for name in names):
                    counts[part] += int(count)
                    break
    return {part: counts[part] / counts.total() for part in PARTS}


def measure_peak() -> float:
    """:return: multiplications and additions per second in a product of large matrices"""
    left, right = torch.rand(1024, 1024), torch.rand(1024, 1024)
    times = []
    for _ in range(10):
        began_at = time.perf_counter()
        torch.mm(left, right)
        times.append(time.perf_counter() - began_at)
    return 2 * 1024**3 / min(times)


def compute_floor(peak: float) -> float:
    """:return: microseconds per step that the matrix products of the agent take at least"""
    forward = sum(_LAYERS.values())
    backward = 2 * forward - _LAYERS["convolution"]  # of weights and of inputs; none of boards
    return 1e6 * 2 * (forward + _EPOCHS * (forward + backward)) / peak


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").strip().partition("\n\n")[0].replace("\n", " "))
    parser.add_argument("--earlier", type=Path, help="an older checkout of this repository")
    parser.add_argument("--engines", nargs="+", default=["torch"], help="of this checkout; default: torch")
    parser.add_argument("--steps", type=int, default=400_000, help="of each training")
    parser.add_argument("--repeats", type=int, default=3, help="trainings with each checkout")
    parser.add_argument("--py-spy", type=Path, help="command of py-spy")
    parser.add_argument("--json", type=Path, help="write all measurements to this file")
    arguments = parser.parse_args()
    programs = {engine: Program(Path(__file__).parents[1], engine) for engine in arguments.engines}
    if arguments.earlier is not None:
        programs["earlier"] = Program(arguments.earlier.absolute(), None)
    found: dict[str, list[RolloutTimes]] = {name: [] for name in programs}
    for _ in range(arguments.repeats):
        for name, program in programs.items():
            found[name] += measure(program, arguments.steps)
    titles = ["collecting", "updating", "both", "plies/s"]
    totals: dict[tuple[str, str], float] = {}
    for place, clock in enumerate(("on the clock", "of a processor")):
        print(f"microseconds per step {clock}".ljust(44) + "".join(title.rjust(12) for title in titles))
        for name, items in found.items():
            collecting = median(item.collecting[place] for item in items)
            updating = median(item.updating[place] for item in items)
            totals[name, clock] = collecting + updating
            plies = 1e6 * PLIES_PER_STEP / (collecting + updating)
            print(f"  {name:42}{collecting:12.1f}{updating:12.1f}{collecting + updating:12.1f}{plies:12,.0f}")
        for name in arguments.engines if "earlier" in found else ():
            print(f"  {'earlier / ' + name:42}{totals['earlier', clock] / totals[name, clock]:36.2f}")
    peak = measure_peak()
    print(f"matrix products of the agent at {peak / 1e9:.0f} GFLOP/s: {compute_floor(peak):.1f} microseconds per step")
    if arguments.py_spy is not None:
        engine = arguments.engines[0]
        per_step = totals[engine, "of a processor"]
        for part, share in sample(programs[engine], arguments.steps, arguments.py_spy).items():
            print(f"{part:40}{100 * share:8.1f} %{share * per_step:10.1f} microseconds per step")
    if arguments.json is not None:
        rows = {name: [asdict(item) for item in items] for name, items in found.items()}
        arguments.json.write_text(json.dumps(rows, indent=2) + "\n")


if __name__ == "__main__":
    main()
