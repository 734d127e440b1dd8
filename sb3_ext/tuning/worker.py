"""
A process that runs one trial after the other.

``python -m sb3_ext.tuning.worker`` reads one line of JSON with its task, and keeps reading: its input ends
when the process that started it ends, and then it stops as after a signal.
"""

from __future__ import annotations

import json
import logging
import os
import sys
import time
from collections.abc import Callable
from typing import Any

import optuna

from sb3_ext.callbacks import SignalStopCallback
from sb3_ext.disk_errors import find_disk_error
from sb3_ext.errors import DiskError
from sb3_ext.launching.parent_watch import end_with_parent
from sb3_ext.launching.task import EXIT_INTERRUPTED
from sb3_ext.runs.signals import SignalWatch
from sb3_ext.tuning.plan import TuningPlan
from sb3_ext.tuning.study import Claim, TuningStudy, open_study
from sb3_ext.tuning.trial_run import TrialInterrupted, run_trial

logger = logging.getLogger(__name__)

EXIT_DISK_ERROR = 2
"""Exit status if files cannot be written; the last line of the output says why."""
_IDLE_SECONDS = 1.0
_POLL_SECONDS = 0.1


def work(study: TuningStudy, signals: SignalWatch, *, is_over: Callable[[], bool] = lambda: False) -> None:
    """
    Run trials until the study is complete, or a signal came. Waits for trials of other processes, and continues
    those whose process dies.

    :param study: the study
    :param signals: being watched
    :param is_over: asked between two trials whether to end for another reason
    :raises DiskError: if files cannot be written; the trial continues later
    """
    is_waiting = False
    while signals.received is None and not is_over():
        claim = study.claim_next()
        if claim is not None:
            is_waiting = False
            _work_on(study, claim, signals)
        elif study.is_complete():
            return
        else:
            if not is_waiting:
                logger.info("no trial left to start; waiting for trials of other processes")
            is_waiting = True
            _wait(signals)


def _work_on(study: TuningStudy, claim: Claim, signals: SignalWatch) -> None:
    try:
        # A training watches signals itself; one that came just before that is known here only.
        outcome = run_trial(study, claim, [SignalStopCallback(signals)])
    except TrialInterrupted as interrupted:
        logger.info("trial %d is interrupted and waits: %s", claim.number, interrupted)
        study.put_back(claim)
        if str(interrupted).startswith("signal "):
            signals.received = signals.received or str(interrupted).removeprefix("signal ")
        else:
            _wait(signals)
    except (KeyboardInterrupt, DiskError):
        study.put_back(claim)
        raise
    else:
        if study.finish(claim, outcome):
            found = outcome.error or (outcome.values and ", ".join(f"{value:.4g}" for value in outcome.values))
            logger.info("trial %d: %s%s", claim.number, outcome.state.name.lower(), f": {found}" if found else "")


def _wait(signals: SignalWatch) -> None:
    until = time.monotonic() + _IDLE_SECONDS
    while signals.received is None and time.monotonic() < until:
        time.sleep(_POLL_SECONDS)


def main() -> int:
    """
    :return: the exit status: 0 if the study is complete
    """
    # As a file, not through sys.stdin: a thread that waits in there would keep the process from ending.
    descriptor = os.dup(sys.stdin.fileno())
    order = json.loads(_read_line(descriptor))
    _prepare(order)
    end_with_parent(descriptor)
    with SignalWatch() as signals:
        try:
            work(open_study(TuningPlan.from_json(order["plan"])), signals)
        except KeyboardInterrupt:
            return EXIT_INTERRUPTED
        except (DiskError, OSError) as error:
            if not isinstance(error, DiskError) and find_disk_error(error) is None:
                raise
            print(error, file=sys.stderr)
            return EXIT_DISK_ERROR
    return 0 if signals.received is None else EXIT_INTERRUPTED


def _prepare(order: dict[str, Any]) -> None:
    sys.path[:] = order["sys_path"]
    logging.basicConfig(format="%(asctime)s %(levelname)s %(name)s: %(message)s", level=logging.WARNING)
    logging.getLogger("sb3_ext").setLevel(logging.INFO)
    optuna.logging.set_verbosity(optuna.logging.WARNING)


def _read_line(descriptor: int) -> bytes:
    """Byte by byte from the pipe's buffer would do; this reads no further than the line."""
    line = b""
    while not line.endswith(b"\n"):
        piece = os.read(descriptor, 1 << 16)
        if not piece:
            raise EOFError("the process that started this one has ended")
        line += piece
    return line


if __name__ == "__main__":
    sys.exit(main())
