"""
End a training of two ranks again and again: SIGTERM to torchrun, SIGKILL to rank 0 or to rank 1.

A run is trained once without interruption, and once more in parts: the same command every time, ended at random
moments. Each time torchrun and all ranks must be gone soon. At the end the run must be that of the uninterrupted one,
to the bit::

    python tests/harness/rank_kills.py --moments 20
    python tests/harness/rank_kills.py --moments 10 --algorithm sac
"""

from __future__ import annotations

import argparse
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import psutil
import yaml

from rank_processes import find_free_port
from run_digests import digest_run
from sb3_ext.runs.run import Run, is_run

ENDS = ("SIGTERM to torchrun", "SIGKILL to rank 0", "SIGKILL to rank 1")
_ENVIRONMENTS = {"ppo": "CartPole-v1", "sac": "Pendulum-v1", "dqn": "CartPole-v1"}
_PARAMS: dict[str, dict[str, Any]] = {
    "ppo": {"n_steps": 16, "batch_size": 16, "n_epochs": 2, "target_kl": 0.05, "learning_rate": "linear(1e-3)"},
    "sac": {"learning_starts": 50, "batch_size": 16, "buffer_size": 2000},
    "dqn": {"learning_starts": 50, "batch_size": 16, "buffer_size": 2000},
}
_GONE_SECONDS = 45.0  # torchrun kills ranks 30 seconds after SIGTERM
_LONGEST_SECONDS = 900.0
_LONGEST_START_SECONDS, _LONGEST_TRAINING_SECONDS = 10.0, 2.0


def make_config(algorithm: str, total_steps: int, interval: int = 256) -> dict[str, Any]:
    return {
        "seed": 1,
        "env": {"id": _ENVIRONMENTS[algorithm], "max_steps": 50, "normalize": True},
        "parallel": {"num_envs": 4, "mode": "sequential"},
        "agent": {
            "id": algorithm,
            "engine": "torch",
            "threads": 1,
            "params": {**_PARAMS[algorithm], "policy_kwargs": {"net_arch": [16]}},
        },
        "train": {
            "total_steps": total_steps,
            "callbacks": [{"type": "checkpoint", "params": {"interval": interval, "keep_last": 2}}],
        },
        "eval": {"episodes": 2, "every_steps": 4 * interval},
        "tracking": {"tensorboard": None},
    }


def start_torchrun(arguments: Sequence[str], output: Path, *options: str) -> subprocess.Popen[bytes]:
    """Start ``torchrun --nproc-per-node 2 -m sb3_ext`` with these arguments."""
    launcher = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", "2", *options]
    command = [*launcher, "--master-port", str(find_free_port()), "-m", "sb3_ext", *arguments]
    # What a configuration names may be beside this script.
    paths = [str(Path(__file__).parent), os.environ.get("PYTHONPATH", "")]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": os.pathsep.join(filter(None, paths))}
    with output.open("ab") as file:
        return subprocess.Popen(command, stdout=file, stderr=file, env=environment, start_new_session=True)


def find_ranks(launcher: subprocess.Popen[bytes]) -> dict[int, psutil.Process]:
    """:return: the processes of the ranks that are running"""
    found = {}
    for process in psutil.Process(launcher.pid).children():
        try:
            found[int(process.environ()["RANK"])] = process
        except (psutil.Error, KeyError):  # about to start or gone
            continue
    return found


def wait_until_gone(launcher: subprocess.Popen[bytes], ranks: Sequence[psutil.Process]) -> float:
    """:return: seconds until all processes had ended; they are killed if that takes too long, and this fails"""
    began_at = time.monotonic()
    try:
        launcher.wait(_GONE_SECONDS)
        _gone, alive = psutil.wait_procs(ranks, 1.0)
        assert not alive, f"orphans: {alive}"
    finally:
        for process in [*ranks, psutil.Process(launcher.pid) if launcher.poll() is None else None]:
            if process is not None and process.is_running():
                process.kill()
    return time.monotonic() - began_at


def train_and_end_once(
    arguments: Sequence[str], output: Path, end: str, delay_seconds: float, trained: Path | None
) -> float | None:
    """
    :param arguments: of ``sb3-ext``
    :param output: file for the output of all processes
    :param end: one of :data:`ENDS`
    :param delay_seconds: how long to wait
    :param trained: the run directory, to wait until the ranks train; ``None`` to wait from the start of torchrun
    :return: seconds until all processes were gone; ``None`` if the training has ended before
    """
    launcher = start_torchrun(arguments, output)
    ranks: dict[int, psutil.Process] = {}
    deadline = None if trained is not None else time.monotonic() + delay_seconds
    while launcher.poll() is None:
        ranks = ranks if len(ranks) == 2 else find_ranks(launcher)
        if deadline is None and trained is not None and len(ranks) == 2 and _is_training(trained, ranks[0]):
            deadline = time.monotonic() + delay_seconds
        if len(ranks) == 2 and deadline is not None and time.monotonic() >= deadline:
            break
        time.sleep(0.01)
    if launcher.poll() is not None:
        return None
    if end == ENDS[0]:
        launcher.send_signal(signal.SIGTERM)
    else:
        ranks[ENDS.index(end) - 1].kill()
    return wait_until_gone(launcher, list(ranks.values()))


def _is_training(directory: Path, leader: psutil.Process) -> bool:
    if not is_run(directory):
        return False
    record = Run(directory).record
    return record.pid == leader.pid and record.phase != "starting"


def train_to_the_end(arguments: Sequence[str], output: Path) -> None:
    launcher = start_torchrun(arguments, output)
    try:
        assert launcher.wait(_LONGEST_SECONDS) == 0, output.read_text()
    finally:
        launcher.terminate()
        launcher.wait()


def end_again_and_again(algorithm: str, moments: int, total_steps: int, seed: int, directory: Path) -> list[str]:
    """
    :param algorithm: name of an algorithm
    :param moments: how often the run is ended
    :param total_steps: of the run
    :param seed: of the moments
    :param directory: for the runs
    :return: what is wrong
    """
    config, dice = directory / "config.yaml", random.Random(seed)
    config.write_text(yaml.safe_dump(make_config(algorithm, total_steps)))
    whole, parts = directory / "whole", directory / "parts"
    train_to_the_end(["train", str(config), "--run-dir", str(whole)], directory / "whole.log")
    arguments = ["train", str(config), "--run-dir", str(parts), "--resume"]
    counts: Counter[str] = Counter()
    for moment in range(moments):
        end, is_late = ENDS[moment % len(ENDS)], moment % 4 != 3
        delay = dice.uniform(0.0, _LONGEST_TRAINING_SECONDS if is_late else _LONGEST_START_SECONDS)
        seconds = train_and_end_once(arguments, directory / "parts.log", end, delay, parts if is_late else None)
        step = Run(parts).record.step if is_run(parts) else 0
        reason = Run(parts).record.stop_reason if is_run(parts) else None
        found = f"step {step}, gone after {seconds} s, {reason}"
        print(f"{moment}: {end} after {delay:.1f} s of {'training' if is_late else 'starting'}, {found}", flush=True)
        if seconds is None:
            break
        counts[end] += 1
    train_to_the_end(arguments, directory / "parts.log")
    print(f"{sum(counts.values())} ends: {dict(counts)}")
    found, expected = digest_run(parts), digest_run(whole)
    problems = [f"{name} differs" for name in expected if found[name] != expected[name]]
    if "approximate" in (parts / "logs" / "training.log").read_text():
        problems.append("a resume was approximate")
    return problems


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--algorithm", choices=sorted(_PARAMS), default="ppo")
    parser.add_argument("--moments", type=int, default=20)
    parser.add_argument("--total-steps", type=int, default=40_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--directory", type=Path)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as directory:
        problems = end_again_and_again(
            arguments.algorithm,
            arguments.moments,
            arguments.total_steps,
            arguments.seed,
            arguments.directory or Path(directory),
        )
    print("\n".join(problems) or "all equal")
    sys.exit(bool(problems))


if __name__ == "__main__":
    main()
