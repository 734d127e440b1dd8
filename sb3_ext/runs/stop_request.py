"""Stop a run from another process: create its stop file, and send a signal to the process that owns it."""

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
_IS_WINDOWS = os.name == "nt"


@dataclass(frozen=True)
class StopOutcome:
    """
    The outcome of a request to stop a run.

    :param status: status of the run after the request
    :param has_ended: whether the run has ended, by this request or before
    :param was_asked: whether the run was running and was asked to stop
    :param note: why no signal was sent; ``None`` if one was sent or the run had ended
    """

    status: str
    has_ended: bool
    was_asked: bool
    note: str | None = None


def stop_run(run: Run, timeout_seconds: float) -> StopOutcome:
    """
    Ask a run to stop, and wait for its end.

    The stop file is created before the signal is sent, so that the run reports the stop file as the reason.

    :param run: a run; nothing is done if it has ended
    :param timeout_seconds: how long to wait
    :raises RunError: if the stop file cannot be created, or the run's status is corrupt
    """
    record = run.record
    if record.status not in LIVE_STATUSES:
        return StopOutcome(record.status, has_ended=True, was_asked=False)
    try:
        run.paths.stop.touch()
    except OSError as error:
        raise RunError(f"{run.paths.stop}: cannot create the stop file: {error.strerror}") from error
    note = _signal_owner(record.owner)
    status, has_ended = _wait_for_end(run, timeout_seconds)
    return StopOutcome(status, has_ended, was_asked=True, note=note)


def _signal_owner(owner: Owner | None) -> str | None:
    """:return: why no signal was sent; ``None`` if one was"""
    if owner is None:
        return "its status names no process, so it got the stop file only"
    if not owner.is_on_this_host():
        return f"it runs on another host, {owner.host}, so it got the stop file only"
    if _IS_WINDOWS:
        return "Windows would end the process at once, so it got the stop file only"
    try:
        _send_sigterm(owner)
    except ProcessLookupError:
        return f"process {owner.pid} is not the run's owner, so it got the stop file only"
    except PermissionError:
        return f"process {owner.pid} belongs to another user, so it got the stop file only"
    return None


def _send_sigterm(owner: Owner) -> None:
    """
    Send SIGTERM to the owner, but not to another process that has got its pid.

    :raises ProcessLookupError: if the owner has ended
    :raises PermissionError: if the owner belongs to another user
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
    Open a pidfd of a process, so that the signal cannot reach another process with the same pid.

    :return: the descriptor; ``None`` if there is no such process, or the system has no pidfds
    """
    try:
        return os.pidfd_open(pid)
    except (AttributeError, OSError, OverflowError):
        return None


def _wait_for_end(run: Run, timeout_seconds: float) -> tuple[str, bool]:
    """Wait for a final status and then a free lock: from then on, other processes can use the directory."""
    deadline = time.monotonic() + timeout_seconds
    while True:
        status = run.status
        has_ended = status not in LIVE_STATUSES and not is_locked(run.paths.lock)
        if has_ended or time.monotonic() >= deadline:
            return status, has_ended
        time.sleep(_POLL_SECONDS)
