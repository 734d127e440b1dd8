"""
Kill a training with SIGKILL again and again: does it end as if nothing had happened?

A run is trained once without interruption, and once more in parts: the same command every time, killed at random
moments, at least half of them during a save. After every kill each checkpoint that had been there must still
verify, unless the retention rule lets it go, and no process may be left. At the end weights, optimizer, replay buffer,
metrics, Monitor files, evaluations, and of a game the pool of opponents and its ratings must be those of the
uninterrupted run, to the bit::

    python tests/harness/kill_and_resume.py --algorithm ppo --kills 40
    python tests/harness/kill_and_resume.py --algorithm dqn --kills 200 --mode workers
    python tests/harness/kill_and_resume.py --game --kills 20 --fork
    python tests/harness/kill_and_resume.py my.yaml --kills 10

With ``--elastic`` each process divides the environments over others: over 4, 1 and 2 workers, a process for each
environment, and none, in turn. The uninterrupted run has one process.
"""

from __future__ import annotations

import argparse
import random
import signal
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from checkpoint_ledger import CheckpointLedger
from run_digests import digest_run
from run_processes import RunProcess, train_to_the_end
from sb3_ext.checkpoints.store.retention import Retention
from sb3_ext.config import load_config

_PARAMS: dict[str, dict[str, Any]] = {
    "ppo": {"batch_size": 8, "n_epochs": 2, "learning_rate": "linear(1e-3)"},
    "dqn": {"learning_starts": 50, "batch_size": 8, "buffer_size": 200},
}
_ROLLOUT_LENGTH = {"ppo": "n_steps", "dqn": "train_freq"}
_PARALLEL: dict[str, dict[str, int]] = {
    "sequential": {"num_envs": 2},
    "subproc": {"num_envs": 2},
    "workers": {"num_envs": 4, "num_workers": 2},
}
_GAME: dict[str, Any] = {
    "game": {"id": "connect4", "params": {"rows": 4, "cols": 4, "in_a_row": 3}},
    "agent": {"id": "maskable_ppo"},
    "opponent_sampler": {
        "type": "pool",
        "params": {
            "self_play": {
                "start_episode": 3,
                "save_every": 5,
                "max_frozen_agents": 3,
                "sampling": "prioritized",
                "eviction": "reservoir",
            },
            "heuristic_distribution": {"random": 0.5, "heuristic": 0.5},
        },
    },
}
_DIVISIONS = (
    ("--num-workers", "4"),
    ("--num-workers", "1"),
    ("--num-workers", "2"),
    ("--set", "parallel.mode=subproc"),
    ("--set", "parallel.mode=sequential"),
)
_STEPS_BETWEEN_SAVES = 16
_MOST_SAVES_BEFORE_A_KILL = 3
_SAVES_A_KILL = 8  # generous: the run must not end before its last kill


@dataclass(frozen=True)
class Kill:
    """
    What a kill found, and what it left.

    :param moment: ``saving``; ``starting``, before the first save; or ``training``
    :param step: of the newest checkpoint
    :param problems: what is wrong
    """

    moment: str
    step: int
    problems: list[str]


class Killer:
    """
    Kills the processes of one run.

    :param config: a YAML file
    :param directory: the run directory
    :param seed: of the moments
    :param is_forked: see :class:`run_processes.RunProcess`
    :param divisions: further arguments of the processes, in turn
    """

    def __init__(
        self, config: Path, directory: Path, seed: int, *, is_forked: bool, divisions: Sequence[Sequence[str]] = ((),)
    ) -> None:
        section = load_config(config).train.checkpoint
        names = ("keep_last", "keep_best", "milestone_steps", "max_disk_bytes")
        self.kills: list[Kill] = []
        self._config = config
        self._directory = directory
        self._is_forked = is_forked
        self._divisions = divisions
        self._dice = random.Random(seed)
        self._ledger = CheckpointLedger(
            directory / "checkpoints", Retention(**{name: getattr(section, name) for name in names})
        )
        self._seconds_to_first_save = 1.0

    def kill_once(self) -> bool:
        """
        Begin the run or carry it on, and kill it.

        :return: ``False`` if it ended before
        """
        saves = sum(kill.moment == "saving" for kill in self.kills)
        division = self._divisions[len(self.kills) % len(self._divisions)]
        with RunProcess(self._config, self._directory, division, is_forked=self._is_forked) as process:
            saved_before = self._ledger.look()
            wait = self._wait_for_save if 2 * saves <= len(self.kills) else self._wait_anywhere
            if not wait(process):
                return False
            process.send(signal.SIGKILL)
            if process.wait() != -signal.SIGKILL:
                return False
            if self._ledger.find_save():
                moment = "saving"
            else:
                moment = "training" if self._ledger.look() > saved_before else "starting"
            problems = [*process.list_orphans(), *self._ledger.check()]
        self.kills.append(Kill(moment, self._ledger.newest_step, problems))
        return True

    def _wait_for_save(self, process: RunProcess) -> bool:
        """Wait for a save some saves from now, and for a random moment in it; as long as the first of them takes."""
        ledger = self._ledger
        if not self._wait_until_claimed(process):
            return False
        claimed_at = time.monotonic()
        if not process.wait_until(lambda: ledger.find_save() is not None):
            return False
        began_at = time.monotonic()
        self._seconds_to_first_save = began_at - claimed_at
        process.wait_until(lambda: ledger.find_save() is None)
        save_seconds = time.monotonic() - began_at
        wanted = ledger.look() + self._dice.randint(0, _MOST_SAVES_BEFORE_A_KILL)
        is_saving = process.wait_until(lambda: ledger.look() >= wanted and ledger.find_save() is not None)
        time.sleep(self._dice.uniform(0.0, save_seconds))
        return is_saving

    def _wait_anywhere(self, process: RunProcess) -> bool:
        """Wait for a random moment, which is about as likely before the first save as after it."""
        most = self._ledger.look() + _MOST_SAVES_BEFORE_A_KILL
        is_claimed = self._wait_until_claimed(process)
        moment = time.monotonic() + self._dice.uniform(0.0, 2 * self._seconds_to_first_save)
        process.wait_until(lambda: time.monotonic() >= moment or self._ledger.look() > most)
        return is_claimed

    def _wait_until_claimed(self, process: RunProcess) -> bool:
        """What comes before the process owns the run, mostly imports, can do no harm."""
        if not self._directory.exists():
            return process.wait_until(self._directory.exists)
        return process.wait_until(lambda: _read_owner(self._directory) == process.pid)


def _read_owner(directory: Path) -> int | None:
    try:
        return int((directory / "pid").read_text())
    except (FileNotFoundError, ValueError):
        return None


def make_config(algorithm: str, kills: int, *, mode: str = "sequential", num_envs: int | None = None) -> dict[str, Any]:
    """
    :param algorithm: ``ppo`` or ``dqn``
    :param kills: how many times the run is to be killed
    :param mode: ``parallel.mode``
    :param num_envs: number of environments; ``None`` for a few, as the mode needs
    :return: a configuration that saves at every boundary, and lasts long enough
    """
    parallel = _PARALLEL[mode] if num_envs is None else {"num_envs": num_envs}
    length = _STEPS_BETWEEN_SAVES // parallel["num_envs"]
    params = {**_PARAMS[algorithm], _ROLLOUT_LENGTH[algorithm]: length, "policy_kwargs": {"net_arch": [8]}}
    return {
        "seed": 1,
        "env": {"id": "CartPole-v1", "max_steps": 60},
        "parallel": {"mode": mode, **parallel},
        "agent": {"id": algorithm, "threads": 1, "device": "cpu", "params": params},
        "train": {
            "total_steps": _STEPS_BETWEEN_SAVES * _SAVES_A_KILL * (kills + 1),
            "callbacks": [{"type": "checkpoint", "params": {"interval": 1}}],
            "log_every_episodes": 3,
        },
        "eval": {"every_steps": 150, "episodes": 2},
    }


def make_game_config(kills: int) -> dict[str, Any]:
    """
    :param kills: how many times the run is to be killed
    :return: the same with a game, a pool of opponents and ratings
    """
    config = make_config("ppo", kills)
    del config["env"], config["parallel"]["mode"]
    config["game"] = _GAME["game"]
    config["agent"] |= _GAME["agent"]
    config["train"] |= {"opponent_sampler": _GAME["opponent_sampler"]}
    return config


def compare(
    config: Path, kills: int, seed: int, folder: Path, *, is_forked: bool, divisions: Sequence[Sequence[str]] = ((),)
) -> int:
    """
    Train whole and in parts, and print what came out.

    :param config: a YAML file
    :param kills: how many, at least
    :param seed: of their moments
    :param folder: an empty directory
    :param is_forked: whether the processes that are killed are; the other one never is, so the order of a ``set``, say,
        is different in it
    :param divisions: further arguments of the processes that are killed, in turn
    :return: how many things are wrong
    """
    whole, parts = folder / "whole", folder / "parts"
    ends = train_to_the_end(config, whole)
    killer, problems = Killer(config, parts, seed, is_forked=is_forked, divisions=divisions), []
    print(f"{'kill':>4}  {'while':<8}  {'newest checkpoint':>17}  problems")
    while len(killer.kills) < kills or sum(kill.moment == "saving" for kill in killer.kills) * 2 < kills:
        if not killer.kill_once():
            problems.append(f"the run ended after {len(killer.kills)} of {kills} kills")
            break
        kill = killer.kills[-1]
        print(f"{len(killer.kills):>4}  {kill.moment:<8}  {kill.step:>17}  {'; '.join(kill.problems) or 'none'}")
        sys.stdout.flush()
        problems += kill.problems
    ends += train_to_the_end(config, parts, is_forked=is_forked)
    if not ends:
        of_whole, of_parts = digest_run(whole), digest_run(parts)
        print(f"\n{'':<16}  {'uninterrupted':<13}  killed and resumed")
        for name, digest in of_whole.items():
            verdict = "same" if of_parts[name] == digest else "DIFFERENT"
            print(f"{name:<16}  {digest[:12]:<13}  {of_parts[name][:12]}  {verdict}")
            problems += [f"{name}: different"] * (verdict != "same")
    problems += ends
    print("", *problems, sep="\n")
    return len(problems)


def main() -> int:
    """:return: the exit status: 0 if nothing is wrong"""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("config", nargs="?", type=Path, help="a YAML file, instead of a small run of --algorithm")
    parser.add_argument("--algorithm", choices=sorted(_PARAMS), default="ppo")
    parser.add_argument("--mode", choices=sorted(_PARALLEL), default="sequential", help="parallel.mode")
    parser.add_argument("--elastic", action="store_true", help="divide the environments anew in each process")
    parser.add_argument("--game", action="store_true", help="self-play of Connect4 against a pool")
    parser.add_argument("--kills", type=int, default=6)
    parser.add_argument("--seed", type=int, default=0, help="of the moments")
    parser.add_argument("--fork", action="store_true", help="save each process that is killed the start of Python")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as directory:
        config = options.config
        if config is None:
            config = Path(directory) / "config.yaml"
            if options.game:
                made = make_game_config(options.kills)
            else:
                num_envs = 4 if options.elastic else None
                made = make_config(options.algorithm, options.kills, mode=options.mode, num_envs=num_envs)
            config.write_text(yaml.safe_dump(made))
        divisions = _DIVISIONS if options.elastic else ((),)
        problems = compare(
            config, options.kills, options.seed, Path(directory), is_forked=options.fork, divisions=divisions
        )
        return int(problems > 0)


if __name__ == "__main__":
    sys.exit(main())
