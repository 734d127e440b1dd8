"""
Signal a training at any point: does it end soon, with whole checkpoints, and resume bit for bit?

SIGINT and SIGTERM, once and twice, to the process and to its whole group, while it collects, updates and saves, with
environments in its own process and in others. Rollouts are short, so that it ends after the update; long, so that it
ends at once and repeats the rollout when it is resumed; or those of an off-policy algorithm. It must end within two
seconds (of the next boundary, or of the second signal), with the right exit status and run status, leave no process and
no temporary file, and, carried on, end with the same bits as without a signal::

    python tests/harness/signal_matrix.py --quick
    python tests/harness/signal_matrix.py --repeats 3
    python tests/harness/signal_matrix.py --filter "SIGTERM twice" --filter long
"""

from __future__ import annotations

import argparse
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import yaml

from checkpoint_ledger import CheckpointLedger
from run_digests import digest_run
from run_processes import RunProcess, train_to_the_end
from sb3_ext.checkpoints.store.checkpoint_store import CheckpointStore
from sb3_ext.checkpoints.store.retention import Retention
from sb3_ext.runs.run import Run
from signal_cases import Case, Training, list_cases, list_quick_cases

_SECONDS_ALLOWED = 2.0
_HANGING_SECONDS = 120.0
_SECONDS_TO_SECOND_SIGNAL = (0.35, 0.7)
_ATTEMPTS = 5
_EXIT_STATUSES = {signal.SIGINT: 130, signal.SIGTERM: 75}


@dataclass(frozen=True)
class Outcome:
    """
    How a case went.

    :param case: it
    :param seconds: from the last signal, or from the boundary after it, to the end of the process
    :param problems: what is wrong
    """

    case: Case
    seconds: float
    problems: list[str]


class Marks:
    """
    When training began to collect and to update, as :class:`slow_parts.MarkCallback` has noted it.

    :param path: the file; need not exist yet
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    def read(self) -> list[tuple[float, str]]:
        """:return: times and phases"""
        lines = self.path.read_text().splitlines(keepends=True) if self.path.exists() else []
        rows = [line.split() for line in lines if line.endswith("\n")]
        return [(float(at), phase) for at, phase in rows]

    def find_phase(self, moment: float) -> str | None:
        """:return: what training was doing then"""
        return next((phase for at, phase in reversed(self.read()) if at <= moment), None)

    def find_boundary(self, moment: float) -> float:
        """:return: when the next rollout began; the moment itself, if none has begun since"""
        return next((at for at, phase in self.read() if at > moment and phase == "collecting"), moment)


class SignalMatrix:
    """
    Tries cases.

    :param folder: an empty directory
    :param seed: of the moments
    :param slack_seconds: allowed in addition to the two seconds, for a machine that is busy
    """

    def __init__(self, folder: Path, seed: int, slack_seconds: float) -> None:
        self._folder = folder
        self._dice = random.Random(seed)
        self._slack_seconds = slack_seconds
        self._expected: dict[tuple[Training, bool], dict[str, str]] = {}

    def train_whole(self, training: Training, has_subprocesses: bool) -> list[str]:
        """
        Train without a signal, for comparison.

        :return: what is wrong
        """
        config, directory, _ = self._prepare(training, has_subprocesses, "saving")
        problems = train_to_the_end(config, directory)
        if not problems:
            self._expected[training, has_subprocesses] = digest_run(directory)
        return problems

    def try_case(self, case: Case) -> Outcome:
        """
        Train, send the signal, and carry on; again, if the signal has come too late for the phase.

        :return: how it went
        """
        for _ in range(_ATTEMPTS):
            outcome = self._try_once(case)
            if outcome is not None:
                return outcome
        return Outcome(case, 0.0, [f"the phase was missed {_ATTEMPTS} times"])

    def _try_once(self, case: Case) -> Outcome | None:
        config, directory, marks = self._prepare(case.training, case.has_subprocesses, case.phase)
        with RunProcess(config, directory) as process:
            sent_at = self._send(process, case, marks)
            if sent_at is None:
                return None
            try:
                exit_status = process.wait(_HANGING_SECONDS)
            except subprocess.TimeoutExpired:
                return Outcome(case, _HANGING_SECONDS, ["hangs"])
            ended_at = time.monotonic()
            problems = process.list_orphans()
            output = process.read_output()
        if case.phase != "saving" and marks.find_phase(sent_at[0]) != case.phase:
            return None
        began_at = sent_at[-1] if case.is_double else marks.find_boundary(sent_at[0])
        seconds = ended_at - began_at
        problems += self._check(case, directory, exit_status, output)
        if seconds > _SECONDS_ALLOWED + self._slack_seconds:
            problems.append(f"ended after {seconds:.1f} s")
        if case.training.name == "long" and case.phase == "collecting" and began_at != sent_at[-1]:
            problems.append("waited for the end of a long rollout")
        return Outcome(case, seconds, [*problems, *self._carry_on(case, config, directory)])

    def _carry_on(self, case: Case, config: Path, directory: Path) -> list[str]:
        problems = train_to_the_end(config, directory)
        if problems:
            return problems
        expected, found = self._expected[case.training, case.has_subprocesses], digest_run(directory)
        return [f"{name}: different" for name in expected if found[name] != expected[name]]

    def _prepare(self, training: Training, has_subprocesses: bool, phase: str) -> tuple[Path, Path, Marks]:
        folder = Path(tempfile.mkdtemp(dir=self._folder))
        marks = Marks(folder / "marks.txt")
        # Where it is not the saving that is to be hit, what is saved in the end is all there is to resume from.
        interval = 1 if phase == "saving" else 10**6
        config = training.make_config(marks.path, has_subprocesses=has_subprocesses, interval=interval)
        (folder / "config.yaml").write_text(yaml.safe_dump(config))
        return folder / "config.yaml", folder / "run", marks

    def _send(self, process: RunProcess, case: Case, marks: Marks) -> list[float] | None:
        """:return: when the signals were sent; ``None`` if the run had ended before"""
        count = 2 * self._dice.randint(1, 2)  # of marks: a cycle or two
        if not process.wait_until(lambda: len(marks.read()) >= count):
            return None
        if case.phase == "saving":
            ledger = CheckpointLedger(process.directory / "checkpoints", Retention())
            is_there: Callable[[], bool] = lambda: ledger.find_save() is not None  # noqa: E731
        else:
            is_there = lambda: marks.read()[-1][1] == case.phase  # noqa: E731
        if not process.wait_until(is_there):
            return None
        lengths = {"collecting": case.training.rollout_seconds, "updating": case.training.update_seconds, "saving": 0.0}
        time.sleep(self._dice.uniform(0.0, 0.8 * lengths[case.phase]))
        sent_at = [time.monotonic()]
        process.send(case.number, to_group=case.to_group)
        if case.is_double:
            time.sleep(self._dice.uniform(*_SECONDS_TO_SECOND_SIGNAL))
            if process.is_alive():
                sent_at.append(time.monotonic())
                process.send(case.number, to_group=case.to_group)
        return sent_at

    def _check(self, case: Case, directory: Path, exit_status: int, output: str) -> Iterator[str]:
        """Yields what is wrong with the run as the signal has left it."""
        if exit_status != _EXIT_STATUSES[case.number]:
            yield f"exit status {exit_status}: {output}"
        if "Traceback" in output:
            yield output
        run = Run(directory)
        expected = ("stopped", f"signal {case.number.name}")
        if (run.status, run.record.stop_reason) != expected:
            yield f"status {run.status} ({run.record.stop_reason})"
        yield from (f"{path.name} is left" for path in (run.paths.pid, *directory.rglob(".*")) if path.exists())
        latest = CheckpointStore(run.paths.checkpoints).find_latest()
        if latest is None or not latest.manifest.exact:
            yield "no exact checkpoint" if latest is None else f"checkpoint: {latest.manifest.exact_reason}"


def run_matrix(matrix: SignalMatrix, cases: list[Case], jobs: int) -> int:
    """
    Try all cases, and print a line each.

    :param matrix: tries one
    :param cases: what to try
    :param jobs: how many at a time
    :return: how many went wrong
    """
    with ThreadPoolExecutor(jobs) as executor:
        trainings = {(case.training, case.has_subprocesses) for case in cases}
        problems = [
            problem for found in executor.map(lambda pair: matrix.train_whole(*pair), trainings) for problem in found
        ]
        print(*problems, sep="\n", end="")
        outcomes = []
        for outcome in executor.map(matrix.try_case, cases):
            print(f"{outcome.case}  {outcome.seconds:5.2f} s  {'; '.join(outcome.problems) or 'good'}", flush=True)
            outcomes.append(outcome)
    bad = sum(bool(outcome.problems) for outcome in outcomes)
    slowest = max(outcome.seconds for outcome in outcomes)
    print(f"{len(outcomes) - bad} of {len(outcomes)} good; the last to end took {slowest:.2f} s")
    return bad + len(problems)


def main() -> int:
    """:return: the exit status: 0 if nothing is wrong"""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="a selection instead of the whole matrix")
    parser.add_argument(
        "--filter", action="append", default=[], help="only cases whose line has this in it; repeatable"
    )
    parser.add_argument("--repeats", type=int, default=1, help="how often to try each case")
    parser.add_argument("--jobs", type=int, default=2, help="how many at a time: they sleep most of the time")
    parser.add_argument("--seed", type=int, default=0, help="of the moments")
    parser.add_argument("--slack-seconds", type=float, default=0.0, help="in addition to two, on a busy machine")
    options = parser.parse_args()
    cases = list_quick_cases() if options.quick else list_cases()
    cases = options.repeats * [case for case in cases if all(text in str(case) for text in options.filter)]
    with tempfile.TemporaryDirectory() as directory:
        matrix = SignalMatrix(Path(directory), options.seed, options.slack_seconds)
        return int(run_matrix(matrix, cases, options.jobs) > 0)


if __name__ == "__main__":
    sys.exit(main())
