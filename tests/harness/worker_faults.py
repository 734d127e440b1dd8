"""
What becomes of WorkerVecEnv when its workers fail in every way that a process can, at every rank?

Each fault must be named, with the environment's rank or the worker, within the timeout and five seconds; ``close()``
must end within seconds, and no process may be left. Once more with ``max_worker_restarts``: the worker is replaced, and
the episodes of its environments, and of no others, are truncated. And a killed training must take its workers along,
whatever they are doing::

    python tests/harness/worker_faults.py --repeats 5
    python tests/harness/worker_faults.py --faults exit stop --ranks 1
"""

from __future__ import annotations

import argparse
import itertools
import logging
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import psutil

from faulty_env import FAULTS, FaultyEnv
from sb3_ext.vec import WorkerVecEnv
from sb3_ext.vec.process_lifetime import preload_workers

NUM_ENVS, NUM_WORKERS = 4, 2
FAULT_STEP, STEPS = 3, 6
SPARE_SECONDS = 5.0
CLOSE_SECONDS = 8.0
WORDS = {"exit": "exit status 3", "leave": "exit status 4", "kill": "SIGKILL", "raise": "the engine is on fire"}
PARENT = """
import sys
from pathlib import Path
from worker_faults import make_env, play

if __name__ == "__main__":
    env = make_env(sys.argv[1], int(sys.argv[2]), 3600.0)
    env.seed(0)
    env.reset()
    print(*env.worker_pids, flush=True)
    play(env)
"""


@dataclass(frozen=True)
class Outcome:
    """
    :param case: what was done
    :param seconds: until it was noticed
    :param close_seconds: how long ``close`` took
    :param problems: what is wrong
    """

    case: str
    seconds: float
    close_seconds: float
    problems: list[str]


def make_env(
    fault: str, rank: int, timeout_seconds: float, *, marker: Path | None = None, restarts: int = 0
) -> WorkerVecEnv:
    """:return: environments, of which one fails in its third step"""
    env_fn = partial(FaultyEnv, fault, FAULT_STEP, seed=rank, marker=None if marker is None else str(marker))
    return WorkerVecEnv(
        [env_fn] * NUM_ENVS, NUM_WORKERS, step_timeout_seconds=timeout_seconds, max_worker_restarts=restarts
    )


def play(env: WorkerVecEnv) -> list[tuple[Any, ...]]:
    """:return: the results of some steps"""
    return [env.step(np.zeros(NUM_ENVS, np.int64)) for _ in range(STEPS)]


def try_fault(fault: str, rank: int, timeout_seconds: float) -> Outcome:
    """:return: whether a fault is named"""
    env = make_env(fault, rank, timeout_seconds)
    pids = env.worker_pids
    env.seed(0)
    env.reset()
    began_at = time.monotonic()
    try:
        play(env)
        message = "nothing was raised"
    except Exception as error:
        message = str(error)
    seconds, problems = time.monotonic() - began_at, []
    place = f"environment {rank} (in worker" if fault == "raise" else f"worker {rank // (NUM_ENVS // NUM_WORKERS)} ("
    if place not in message or WORDS.get(fault, "hangs") not in message:
        problems.append(f"said: {message}")
    if seconds > timeout_seconds + SPARE_SECONDS:
        problems.append("named too late")
    return finish(f"{fault:<6} in environment {rank}", env, pids, seconds, problems)


def try_replacement(fault: str, rank: int, timeout_seconds: float, folder: Path) -> Outcome:
    """:return: whether a worker is replaced"""
    env = make_env(fault, rank, timeout_seconds, marker=folder / f"{fault}-{rank}", restarts=1)
    pids = env.worker_pids
    env.seed(0)
    env.reset()
    began_at = time.monotonic()
    steps = play(env)
    seconds = time.monotonic() - began_at
    each = NUM_ENVS // NUM_WORKERS
    expected = [step == FAULT_STEP - 1 and other // each == rank // each for step in range(STEPS) for other in range(4)]
    truncated = [info["TimeLimit.truncated"] for _, _, _, infos in steps for info in infos]
    done = [bool(flag) for _, _, dones, _ in steps for flag in dones]
    problems = [] if truncated == done == expected else ["other episodes were truncated"]
    return finish(f"{fault:<6} in environment {rank}, replaced", env, {*pids, *env.worker_pids}, seconds, problems)


def try_killed_parent(fault: str, rank: int) -> Outcome:
    """:return: whether workers end with a training that is killed"""
    with subprocess.Popen(
        [sys.executable, "-c", PARENT, fault, str(rank)],
        cwd=Path(__file__).parent,
        stdout=subprocess.PIPE,
        text=True,
    ) as parent:
        assert parent.stdout is not None
        pids = [int(pid) for pid in parent.stdout.readline().split()]
        time.sleep(0.5)
        parent.kill()
        problems = [] if len(pids) == NUM_WORKERS else ["the training has not begun"]
    began_at = time.monotonic()
    problems += list_left(pids)
    return Outcome(f"{fault:<6} in environment {rank}, killed", time.monotonic() - began_at, 0.0, problems)


def finish(case: str, env: WorkerVecEnv, pids: Any, seconds: float, problems: list[str]) -> Outcome:
    """:return: the outcome, with what closing has shown"""
    began_at = time.monotonic()
    env.close()
    close_seconds = time.monotonic() - began_at
    if close_seconds > CLOSE_SECONDS:
        problems.append("closed too late")
    return Outcome(case, seconds, close_seconds, problems + list_left(pids))


def list_left(pids: Any) -> list[str]:
    """:return: which processes live on"""
    deadline = time.monotonic() + SPARE_SECONDS
    while (left := [pid for pid in pids if is_alive(pid)]) and time.monotonic() < deadline:
        time.sleep(0.01)
    return [f"process {pid} is left" for pid in left]


def is_alive(pid: int) -> bool:
    """:return: whether a process runs"""
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def main() -> int:
    """:return: the exit status: 0 if nothing is wrong"""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--faults", nargs="+", choices=FAULTS, default=FAULTS)
    parser.add_argument("--ranks", nargs="+", type=int, choices=range(NUM_ENVS), default=range(NUM_ENVS))
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--timeout-seconds", type=float, default=2.0)
    options = parser.parse_args()
    preload_workers()
    logging.getLogger("sb3_ext").setLevel(logging.ERROR)
    number_of_problems = 0
    print(f"{'fault':<38}{'noticed after':>14}{'closed in':>12}  problems")
    for _ in range(options.repeats):
        for fault, rank in itertools.product(options.faults, options.ranks):
            with tempfile.TemporaryDirectory() as folder:
                outcomes = [try_fault(fault, rank, options.timeout_seconds)]
                if fault != "raise":
                    outcomes.append(try_replacement(fault, rank, options.timeout_seconds, Path(folder)))
            if fault in ("hang", "spin", "stop"):
                outcomes.append(try_killed_parent(fault, rank))
            for outcome in outcomes:
                times = f"{outcome.seconds:>12.2f} s{outcome.close_seconds:>10.2f} s"
                print(f"{outcome.case:<38}{times}  {'; '.join(outcome.problems) or 'none'}", flush=True)
                number_of_problems += len(outcome.problems)
    return int(number_of_problems > 0)


if __name__ == "__main__":
    sys.exit(main())
