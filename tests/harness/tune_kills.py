"""
Kill the processes of a study at random moments, and show that nothing is lost.

``python tests/harness/tune_kills.py --storage journal --kills 40``

``sb3-ext tune`` runs with two workers; again and again one of them, or the command itself, is killed with SIGKILL, and
the command, if it was that, is given again. In the end the study has to have exactly the trials that were asked for,
each ended, none running; what was once recorded of a trial must never have changed; and no run may have been trained
twice at a time.
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
from dataclasses import dataclass, field
from pathlib import Path

import optuna
import psutil
import yaml
from optuna.trial import TrialState

from sb3_ext.reports.evaluations import read_evaluations
from sb3_ext.runs.run import Run
from sb3_ext.tuning.plan import TuningPlan, make_plan
from sb3_ext.tuning.storage import OpenStorage, open_storage
from sb3_ext.tuning.study import DIRECTORY

CONFIG = {
    "seed": 1,
    "env": {"id": "CartPole-v1"},
    "agent": {"id": "ppo", "params": {"n_steps": 32, "batch_size": 32, "n_epochs": 1}},
    "train": {
        "total_steps": 960,
        "callbacks": [{"type": "checkpoint", "params": {"interval": 160, "self_test": False}}],
    },
    "eval": {"every_steps": 320, "episodes": 1},
    "tune": {
        "startup_trials": 3,
        "max_failures_in_a_row": 2,
        "space": {"agent.params.learning_rate": {"type": "float", "low": 1e-4, "high": 1e-2, "log": True}},
    },
}
_PARENT_SHARE = 0.3
_POLL_SECONDS = 0.05
_END_SECONDS = 900.0


@dataclass
class Findings:
    """
    :param killed_workers: how many workers were killed
    :param killed_parents: how many times the command itself was killed
    :param states: of the trials, at the end
    :param problems: what was lost, stuck or done twice
    """

    killed_workers: int = 0
    killed_parents: int = 0
    states: list[str] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)


class Harassment:
    """
    One study, and the killing.

    :param directory: for the configuration and the study
    :param storage: as for ``--storage``
    :param trials: how many
    :param seed: of the moments
    """

    def __init__(self, directory: Path, storage: str | None, trials: int, seed: int) -> None:
        self.config = directory / "harassed.yaml"
        tune = {**CONFIG["tune"], "trials": trials, "storage": storage}  # type: ignore[dict-item]
        self.config.write_text(yaml.safe_dump({**CONFIG, "tune": tune}))
        self.plan: TuningPlan = make_plan(self.config, directory=directory / "study")
        self.findings = Findings()
        self._random = random.Random(seed)
        self._seen: dict[int, tuple[TrialState, object]] = {}
        self._processes: set[psutil.Process] = set()
        self._opened: OpenStorage | None = None

    def run(self, kills: int, *, longest_pause_seconds: float) -> Findings:
        """
        :param kills: how many
        :param longest_pause_seconds: between two
        :return: what came of it
        """
        command = self._start()
        for _ in range(kills):
            self._await_workers(command)
            self._pause(self._random.uniform(0.0, longest_pause_seconds))
            if command.poll() is not None:
                break  # done before all kills
            if self._kill_one(command):
                command = self._start()
        deadline = time.monotonic() + _END_SECONDS
        while command.poll() is None and time.monotonic() < deadline:
            self._pause(1.0)
        if command.poll() != 0:
            self.findings.problems.append(f"the command ended with {command.poll()}")
            command.kill()
        self._check_end()
        return self.findings

    def _await_workers(self, command: subprocess.Popen[bytes]) -> None:
        """A command that has none yet has nothing to lose."""
        while command.poll() is None and not self._find_workers(command.pid):
            time.sleep(_POLL_SECONDS)

    def _start(self) -> subprocess.Popen[bytes]:
        arguments = ["tune", self.config, "--jobs", "2", "--study-dir", self.plan.directory, "--quiet"]
        command = [sys.executable, "-m", "sb3_ext", *map(str, arguments)]
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        self._processes.add(psutil.Process(process.pid))
        return process

    def _kill_one(self, command: subprocess.Popen[bytes]) -> bool:
        """:return: whether it was the command itself"""
        workers = self._find_workers(command.pid)
        if workers and self._random.random() >= _PARENT_SHARE:
            self._random.choice(workers).send_signal(signal.SIGKILL)
            self.findings.killed_workers += 1
            return False
        os.kill(command.pid, signal.SIGKILL)
        command.wait()
        self.findings.killed_parents += 1
        return True

    def _find_workers(self, pid: int) -> list[psutil.Process]:
        try:
            workers = psutil.Process(pid).children()
        except psutil.NoSuchProcess:
            return []
        self._processes.update(workers)
        return workers

    def _pause(self, seconds: float) -> None:
        """Look at the study all the while."""
        until = time.monotonic() + seconds
        while True:
            self._look()
            if time.monotonic() >= until:
                return
            time.sleep(min(_POLL_SECONDS, max(0.0, until - time.monotonic())))

    def _look(self) -> None:
        try:
            trials = self._load().trials
        except (KeyError, FileNotFoundError):  # not begun yet
            return
        for trial in trials:
            record = (trial.state, trial.values and tuple(trial.values))
            known = self._seen.get(trial.number)
            if known is not None and known != record:
                self.findings.problems.append(f"trial {trial.number} had ended as {known}, and became {record}")
            if trial.state.is_finished():
                self._seen[trial.number] = record

    def _load(self) -> optuna.Study:
        if self.plan.storage.startswith("sqlite") and not Path(self.plan.storage.partition(":///")[2]).exists():
            raise FileNotFoundError
        if self._opened is None:  # once: a server has only so many connections
            self._opened = open_storage(self.plan.storage, self.plan.name)
        return optuna.load_study(study_name=self.plan.name, storage=self._opened.storage)

    def _check_end(self) -> None:
        problems = self.findings.problems
        _, alive = psutil.wait_procs(self._processes, timeout=60)
        problems += [f"process {process.pid} is left" for process in alive]
        self._look()
        trials = self._load().trials
        self.findings.states = [trial.state.name for trial in trials]
        if len(trials) != self.plan.settings.trials:
            problems.append(f"{len(trials)} trials, not {self.plan.settings.trials}")
        problems += [
            f"trial {trial.number} is {trial.state.name} for ever" for trial in trials if not trial.state.is_finished()
        ]
        for trial in trials:
            if trial.state == TrialState.COMPLETE:
                self._check_run(trial.number, Run(Path(trial.user_attrs[DIRECTORY])))

    def _check_run(self, number: int, run: Run) -> None:
        steps = [item["step"] for item in read_evaluations(run.paths.evaluations)]
        if run.status != "completed":
            self.findings.problems.append(f"trial {number} is complete, but its run is {run.status}")
        if steps != [320, 640, 960]:
            self.findings.problems.append(f"trial {number} was evaluated at {steps}")


def main() -> int:
    """:return: 0 if nothing was lost"""
    parser = argparse.ArgumentParser(description=(__doc__ or "").strip().partition("\n")[0])
    parser.add_argument("--storage", help="journal, or a URL; SQLite when left out")
    parser.add_argument("--kills", type=int, default=40)
    parser.add_argument("--trials", type=int, default=30)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--pause", type=float, default=8.0, help="the longest between two kills, in seconds")
    arguments = parser.parse_args()
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    with tempfile.TemporaryDirectory() as directory:
        harassment = Harassment(Path(directory), arguments.storage, arguments.trials, arguments.seed)
        findings = harassment.run(arguments.kills, longest_pause_seconds=arguments.pause)
    print(f"{findings.killed_workers} workers and {findings.killed_parents} commands killed")
    print(f"{len(findings.states)} trials: " + ", ".join(sorted(set(findings.states))))
    print("\n".join(findings.problems) or "nothing lost, nothing stuck, nothing done twice")
    return 1 if findings.problems else 0


if __name__ == "__main__":
    sys.exit(main())
