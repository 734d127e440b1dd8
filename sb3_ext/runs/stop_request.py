"""Stop a run from another process: by its stop file, and by a signal to the process that is proven to be its owner."""

from __future__ import annotations

import os
import signal
import time
from dataclasses import dataclass

from sb3_ext.errors import RunError
from sb3_ext.file_lock import is_locked
from sb3_ext.runs.owner import Owner
from sb3_ext.runs.run import LIVE_STATUSES, Run

_POLL_SECONDS = 0.05


@dataclass(frozen=True)
class StopOutcome:
    """
    What became of a wish to stop a run.

    :param status: how the run stands now
    :param has_ended: whether it is over, by this wish or before it
    :param was_asked: whether the run was running, and so was asked to stop
    :param note: why no signal was sent; ``None`` if one was, or the run had ended
    """

    status: str
    has_ended: bool
    was_asked: bool
    note: str | None = None


def stop_run(run: Run, timeout_seconds: float) -> StopOutcome:
    """
    Ask a run to stop, and wait for its end.

    The stop file comes first, so that the run takes the signal, which only makes it look sooner, for the same wish.

    :param run: a run; one that is over is left alone
    :param timeout_seconds: how long to wait
    :raises RunError: the stop file cannot be left, or the run's status is corrupt
    """
    record = run.record
    if record.status not in LIVE_STATUSES:
        return StopOutcome(record.status, has_ended=True, was_asked=False)
    try:
        run.paths.stop.touch()
    except OSError as error:
        raise RunError(f"{run.paths.stop}: the stop file cannot be left: {error.strerror}") from error
    note = _signal_owner(record.owner)
    status, has_ended = _wait_for_end(run, timeout_seconds)
    return StopOutcome(status, has_ended, was_asked=True, note=note)


def _signal_owner(owner: Owner | None) -> str | None:
    """:return: why no signal was sent; ``None`` if one was"""
    if owner is None:
        return "its status names no process, so it got the stop file only"
    if not owner.is_on_this_host():
        return f"it runs on another host, {owner.host}, so it got the stop file only"
    try:
        _send_sigterm(owner)
    except ProcessLookupError:
        return f"process {owner.pid} is not the run's owner, so it got the stop file only"
    except PermissionError:
        return f"process {owner.pid} belongs to another user, so it got the stop file only"
    return None


def _send_sigterm(owner: Owner) -> None:
    """
    Signal the owner and nothing else.

    :raises ProcessLookupError: it is gone; its pid may belong to another process now
    :raises PermissionError: it is another user's
    """
    descriptor = _open_process(owner.pid)
    try:
        if not owner.is_alive():
            raise ProcessLookupError(owner.pid)
        if descriptor is None:
            os.kill(owner.pid, signal.SIGTERM)
        else:
            signal.pidfd_send_signal(descriptor, signal.SIGTERM)
    finally:
        if descriptor is not None:
            os.close(descriptor)


def _open_process(pid: int) -> int | None:
    """
    Hold on to a process, so that its pid cannot become another's between the look and the signal.

    :return: a descriptor; ``None`` if there is no such process, or the system has no such descriptors
    """
    try:
        return os.pidfd_open(pid)
    except (AttributeError, OSError, OverflowError):
        return None


def _wait_for_end(run: Run, timeout_seconds: float) -> tuple[str, bool]:
    """The end is a final status and, soon after it, a free lock: then others may have the directory."""
    deadline = time.monotonic() + timeout_seconds
    while True:
        status = run.status
        has_ended = status not in LIVE_STATUSES and not is_locked(run.paths.lock)
        if has_ended or time.monotonic() >= deadline:
            return status, has_ended
        time.sleep(_POLL_SECONDS)
