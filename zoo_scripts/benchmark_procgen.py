"""
Measure how fast Procgen's games are stepped: by the library alone, as a native ``VecEnv``, and one by one.

The same random actions go to all of them in turns, and medians are compared: of the rates, and of each rate's share of
the library's in the same turn. Processor time is compared too, all threads' together: on a machine that has other
things to do, that is the comparison to trust. Needs the extra: pip install 'sb3-ext[procgen]'::

    python zoo_scripts/benchmark_procgen.py --num-envs 32 --seconds 1 --repeats 21
"""

from __future__ import annotations

import argparse
import json
import os
import time
from collections.abc import Callable
from statistics import median
from typing import Any

import numpy as np
from sb3_ext_envs.procgen_batch import ProcgenBatch
from sb3_ext_envs.procgen_games import GAMES, ProcgenOptions, name_environment
from sb3_ext_envs.procgen_vec_env import ProcgenVecEnv
from stable_baselines3.common.env_util import make_vec_env
from stable_baselines3.common.vec_env import VecEnv, VecMonitor, VecTransposeImage

from sb3_ext.vec.environment_factory import EnvironmentFactory

parser = argparse.ArgumentParser(description=__doc__.strip().splitlines()[0])
parser.add_argument("--game", default="coinrun", choices=GAMES)
parser.add_argument("--num-envs", type=int, default=32, help="games side by side")
parser.add_argument(
    "--num-threads", type=int, default=None, help="of the library; by default one a processor, at most 4"
)
parser.add_argument("--seconds", type=float, default=1.0, help="length of one measurement")
parser.add_argument("--repeats", type=int, default=21, help="measurements of each kind")

Step = Callable[[np.ndarray], object]


def make_steps(arguments: argparse.Namespace, num_threads: int) -> dict[str, Step]:
    """:return: by kind, what takes one step in each game, reset and warm"""
    options = ProcgenOptions(arguments.game, distribution_mode="easy")
    library: Any = ProcgenBatch(options, arguments.num_envs, num_threads=num_threads)._games

    def step_library(actions: np.ndarray) -> object:
        library.act(actions)
        return library.observe()

    def make_native() -> ProcgenVecEnv:
        return ProcgenVecEnv(arguments.num_envs, arguments.game, num_threads=num_threads, distribution_mode="easy")

    venvs: dict[str, VecEnv] = {
        "native": make_native(),
        "native_as_trained": VecTransposeImage(VecMonitor(make_native())),
        "one_by_one": make_vec_env(
            EnvironmentFactory(name_environment(arguments.game), {"distribution_mode": "easy"}), arguments.num_envs
        ),
    }
    for venv in venvs.values():
        venv.reset()
    return {"library": step_library, **{name: venv.step for name, venv in venvs.items()}}


def measure_rates(step: Step, actions: np.ndarray, seconds: float) -> tuple[float, float]:
    """:return: steps summed over the games, for each second that passed and for each second of a processor's time"""
    steps, start, processor_start = 0, time.perf_counter(), time.process_time()
    while time.perf_counter() - start < seconds:
        step(actions[steps % len(actions)])
        steps += 1
    played = steps * actions.shape[1]
    return played / (time.perf_counter() - start), played / (time.process_time() - processor_start)


def summarize(rates: dict[str, list[float]]) -> dict[str, Any]:
    """:return: the median of each kind, and of its share of the library's"""
    shares = {
        name: median(rate / own for rate, own in zip(found, rates["library"], strict=True))
        for name, found in rates.items()
    }
    return {
        "steps": {name: round(median(found)) for name, found in rates.items()},
        "share_of_the_library": {name: round(share, 3) for name, share in shares.items()},
    }


def compare(arguments: argparse.Namespace) -> dict[str, Any]:
    """:return: what was measured, as plain data"""
    num_threads = arguments.num_threads or min(4, len(os.sched_getaffinity(0)))
    actions = np.random.default_rng(0).integers(15, size=(1000, arguments.num_envs))
    steps = make_steps(arguments, num_threads)
    rates: dict[str, list[tuple[float, float]]] = {name: [] for name in steps}
    for repeat in range(arguments.repeats + 1):
        for name, step in steps.items():
            found = measure_rates(step, actions, arguments.seconds)
            if repeat:  # the first turn warms up
                rates[name].append(found)
    return {
        "num_threads": num_threads,
        "each_second": summarize({name: [passed for passed, _ in found] for name, found in rates.items()}),
        "each_processor_second": summarize({name: [used for _, used in found] for name, found in rates.items()}),
    }


if __name__ == "__main__":
    print(json.dumps(compare(parser.parse_args()), indent=2))
