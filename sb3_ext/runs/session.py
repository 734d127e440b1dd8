"""Context manager of a run in training: owns the run directory."""

from __future__ import annotations

import json
import logging
import re
import shlex
import shutil
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any

from sb3_ext.atomic import remove_abandoned, write_json, write_text
from sb3_ext.disk_errors import describe_disk_error, find_disk_error
from sb3_ext.errors import RunError, Sb3ExtError, find_place
from sb3_ext.file_lock import is_locked
from sb3_ext.interruption import Interruption, StopFile
from sb3_ext.runs.directory_kind import STUDY, SWEEP, find_kind
from sb3_ext.runs.environment import list_requirements
from sb3_ext.runs.lock import RunLock
from sb3_ext.runs.log import TrainingLog
from sb3_ext.runs.paths import RunPaths
from sb3_ext.runs.run import is_half_created
from sb3_ext.runs.signals import Interrupted, SignalWatch
from sb3_ext.runs.status import DISK_ERROR, RunStatus, StatusFile, read_status, status_for

logger = logging.getLogger(__name__)

_NAME = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9._-]*")
_OWNER_WAIT_SECONDS = 1.0
_MAX_MESSAGE_CHARACTERS = 500
_STOP_FILE = "stop file"


class RunSession:
    """
    Owns a run directory from :meth:`create` to the end of the ``with`` block.

    ::

        with RunSession.create(directory, config_text=…, resolved_config_text=…, meta=…) as session:
            with session.starting():
                …                           # set up; a signal or the stop file ends this at once
            …                               # train; session.status, session.signals
            session.finish("total_steps")

    When the block ends, also by an exception, the final status with its reason is on the disk, the pid and stop files
    are removed, the log is closed, the previous signal handlers are restored and the lock is released. An exception
    makes the run ``failed`` and is raised again; an interrupt makes it ``stopped``, and is raised again unless it is
    due to the stop file during :meth:`starting`. An :class:`Sb3ExtError` or a full disk before anything was trained
    removes the new directory; a run that it prevents from resuming keeps its earlier status, unless it was rewound.

    :ivar paths: paths of the run's files
    :ivar status: status file of the run
    :ivar signals: records SIGINT and SIGTERM from just before the directory was locked
    :ivar is_undone: whether the directory is as it was before: there is none, or that of the earlier status
    """

    def __init__(
        self,
        paths: RunPaths,
        lock: RunLock,
        log: TrainingLog,
        status: StatusFile,
        signals: SignalWatch,
        *,
        earlier: RunStatus | None = None,
        new: bool = True,
    ) -> None:
        self.paths = paths
        self.status = status
        self.signals = signals
        self._lock = lock
        self._log = log
        self._is_new = new
        self._earlier = earlier
        self.is_undone = False
        self._is_starting = False
        self._stop_reason: str | None = None
        self._stop_detail: str | None = None

    @classmethod
    def create(
        cls, directory: Path, *, config_text: str, resolved_config_text: str, meta: Mapping[str, Any]
    ) -> RunSession:
        """
        Create the run directory and own it. Enter the ``with`` block at once.

        :param directory: a directory that does not exist, is empty, or was left by a process that was killed while
            creating it; its parents are created
        :param config_text: the config file as given
        :param resolved_config_text: every value, including defaults
        :param meta: content of ``meta.json``, plain data
        :raises RunError: if the directory is not empty, has an invalid name, cannot be written, or is created by
            another process at the same time; nothing is left behind
        """
        paths = RunPaths(Path(directory).absolute())
        _check_name(paths.root)
        signals = SignalWatch()
        signals.begin()
        try:
            lock = _claim(paths)
        except BaseException:
            signals.end()
            raise
        try:
            status = RunStatus.begin()
            write_text(paths.pid, f"{status.pid}\n", durable=False)
            write_json(paths.status, status.to_json())
            write_text(paths.config, config_text)
            write_text(paths.resolved_config, resolved_config_text)
            write_text(paths.requirements, list_requirements())
            write_json(paths.meta, dict(meta))
            return cls(paths, lock, TrainingLog(paths.log), StatusFile(paths.status, status), signals)
        except BaseException as error:
            shutil.rmtree(paths.root, ignore_errors=True)
            lock.release()
            signals.end()
            if isinstance(error, OSError):
                raise _make_write_error(paths, error) from error
            raise

    @classmethod
    def resume(cls, directory: Path, *, entry: Mapping[str, Any], rewinds: bool = False) -> RunSession:
        """
        Own the directory of a run that has ended or was killed. Enter the ``with`` block at once.

        :param directory: a run directory
        :param entry: further fields of its line in ``resumes.jsonl``, besides time, host and the previous end; plain
            data
        :param rewinds: whether the run goes back to an older checkpoint
        :raises RunError: if another process owns it, it is not a run, or it cannot be written
        """
        paths = RunPaths(Path(directory).absolute())
        earlier = read_status(paths.status)
        signals = SignalWatch()
        signals.begin()
        try:
            lock = _take_over(paths)
        except BaseException:
            signals.end()
            raise
        try:
            remove_abandoned(paths.root, paths.replaced_files)
            status = earlier.resume()
            paths.stop.unlink(missing_ok=True)  # an old request, not for this process
            write_text(paths.pid, f"{status.pid}\n", durable=False)
            with paths.resumes.open("a", encoding="utf-8") as file:
                previous = {"previous_host": earlier.host, "previous_heartbeat": earlier.last_heartbeat}
                line = {"time": status.last_heartbeat, "host": status.host, **previous, **entry}
                file.write(json.dumps(line) + "\n")
            write_json(paths.status, status.to_json())
            log, status_file = TrainingLog(paths.log), StatusFile(paths.status, status)
            return cls(paths, lock, log, status_file, signals, earlier=None if rewinds else earlier, new=False)
        except BaseException as error:
            lock.release()
            signals.end()
            if isinstance(error, OSError):
                raise RunError(f"{paths.root}: cannot resume here: {error.strerror or error}") from error
            raise

    @contextmanager
    def preparing(self) -> Iterator[None]:
        """
        Context manager for work on the directory between :meth:`create` or :meth:`resume` and the ``with`` block of
        the session: an exception ends the run, as in that block.
        """
        try:
            yield
        except BaseException as error:
            self.__exit__(type(error), error, error.__traceback__)
            raise

    @contextmanager
    def starting(self) -> Iterator[None]:
        """
        Context manager in which a signal or the stop file ends the run at once, since nothing has been trained yet.

        :raises Interrupted: on a signal, also one received before, or if there is a stop file
        """
        self._is_starting = True
        with self.signals.at_once(), self.signals.interrupting_when(self.paths.stop.exists):
            yield
        self._is_starting = False

    def write_resolved_config(self, text: str) -> None:
        """
        Replace the resolved configuration.

        :param text: every value, including those that follow from the model
        :raises RunError: if it cannot be written, for example since the disk is full
        """
        try:
            write_text(self.paths.resolved_config, text)
        except OSError as error:
            raise RunError(f"{self.paths.resolved_config}: cannot be written: {error.strerror or error}") from error

    def note_approximate(self, reason: str | None) -> None:
        """
        Add to the last line of ``resumes.jsonl``, if there is one, why this resume is approximate.

        :param reason: why it is approximate; ``None`` if it is exact
        """
        if reason is None or not self.paths.resumes.exists():
            return
        *earlier, last = self.paths.resumes.read_text(encoding="utf-8").splitlines()
        last = json.dumps({**json.loads(last), "approximate": reason})
        write_text(self.paths.resumes, "".join(f"{line}\n" for line in (*earlier, last)))

    @property
    def interruption(self) -> Interruption:
        """Stops loops before and after training on a signal or if there is a stop file."""
        # Check the stop file first: `runs stop` creates it before it sends a signal.
        return Interruption(StopFile(self.paths.stop).find_reason, self.signals.find_reason)

    def finish(self, stop_reason: str, stop_detail: str | None = None) -> None:
        """
        Record why the training ended. Call this once, at the end of the block.

        :param stop_reason: see :func:`sb3_ext.runs.status.status_for`
        :param stop_detail: details of the reason, such as numbers
        """
        self._stop_reason, self._stop_detail = stop_reason, stop_detail

    def __enter__(self) -> RunSession:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> bool:
        self.signals.ignore_further()
        can_undo = self._is_new or self._earlier is not None
        is_for_user = isinstance(error, Sb3ExtError) or find_disk_error(error) is not None
        self.is_undone = can_undo and not self._has_trained() and is_for_user
        try:
            if not self.is_undone:
                self._record_end(error)
            elif self._earlier is not None:
                self._restore(self._earlier)
        finally:
            self._log.close()
            if self.is_undone and self._is_new:
                shutil.rmtree(self.paths.root, ignore_errors=True)
            self._lock.release()
            self.signals.end()
        is_asked_for = self._is_starting and self.status.status.stop_reason == _STOP_FILE
        return is_asked_for and isinstance(error, Interrupted)

    def _has_trained(self) -> bool:
        status = self.status.status
        return status.phase != "starting" or (self._is_new and status.step > 0)

    def _restore(self, earlier: RunStatus) -> None:
        """Restore the status before a resume, and remove the line of the resume."""
        write_json(self.paths.status, earlier.to_json())
        *lines, _ = self.paths.resumes.read_text(encoding="utf-8").splitlines(keepends=True)
        if lines:
            write_text(self.paths.resumes, "".join(lines))
        else:
            self.paths.resumes.unlink()
        self._remove_pid_and_stop()

    def _record_end(self, error: BaseException | None) -> None:
        disk_error = find_disk_error(error)
        if disk_error is None:
            reason, detail = self._choose_reason(error), self._stop_detail if error is None else None
        else:
            reason, detail = DISK_ERROR, describe_disk_error(disk_error)
        self.status.update(
            status=status_for(reason), stop_reason=reason, stop_detail=detail, phase="finished", eta_seconds=None
        )
        self.status.write(durable=True)
        if error is not None:
            self._log.write_traceback(reason, error)
        self._remove_pid_and_stop()

    def _remove_pid_and_stop(self) -> None:
        for path in (self.paths.stop, self.paths.pid):
            try:
                path.unlink(missing_ok=True)
            except OSError as failure:
                logger.warning("%s cannot be removed: %s", path, failure)

    def _choose_reason(self, error: BaseException | None) -> str:
        if isinstance(error, KeyboardInterrupt):
            reason = f"signal {error.signal_name if isinstance(error, Interrupted) else 'SIGINT'}"
        elif error is not None:
            message = " ".join(str(error).split())[:_MAX_MESSAGE_CHARACTERS]
            return f"error: {type(error).__name__}: {message} ({find_place(error)})"
        else:
            reason = self._stop_reason or "error: the training ended without a reason"
        # `runs stop` creates the stop file before it sends a signal: then report the stop file as the reason.
        return _STOP_FILE if reason.startswith("signal ") and self.paths.stop.exists() else reason


def _check_name(directory: Path) -> None:
    if not _NAME.fullmatch(directory.name):
        raise RunError(
            f"{directory}: the last part of a run directory has letters, digits, '.', '_' and '-' only and does not "
            f"begin with a dot, but got {directory.name!r}"
        )


def _claim(paths: RunPaths) -> RunLock:
    """
    Create the directory, or reuse one that is empty or was left by a killed creation, and lock it. If several processes
    try at the same time, exactly one succeeds.
    """
    try:
        paths.root.mkdir(parents=True, exist_ok=True)
        if not _is_unused(paths):
            raise _make_refusal(paths)
        lock = RunLock(paths.lock)
    except BlockingIOError:
        raise _make_refusal(paths) from None
    except OSError as error:
        raise _make_write_error(paths, error) from error
    if not _is_unused(paths):
        lock.release()
        raise _make_refusal(paths)
    remove_abandoned(paths.root)
    return lock


def _take_over(paths: RunPaths) -> RunLock:
    try:
        return RunLock(paths.lock)
    except BlockingIOError:
        raise _make_refusal(paths) from None
    except OSError as error:
        raise RunError(f"{paths.root}: cannot resume here: {error.strerror or error}") from error


def _is_unused(paths: RunPaths) -> bool:
    return not any(paths.root.iterdir()) or is_half_created(paths.root)


def _make_refusal(paths: RunPaths) -> RunError:
    if is_locked(paths.lock):
        return RunError(
            f"{paths.root}: another process{_find_owner(paths)} owns this run directory; `sb3-ext runs watch` shows "
            f"running runs, `sb3-ext runs stop {shlex.quote(str(paths.root))}` ends this one"
        )
    kind = find_kind(paths.root)
    if kind in (SWEEP, STUDY):
        return RunError(f"{paths.root}: is {kind}; a run needs a directory of its own: give another --run-dir")
    return RunError(
        f"{paths.root}: exists and is not empty; a run is never overwritten: give another directory, or resume the run"
    )


def _make_write_error(paths: RunPaths, error: OSError) -> RunError:
    return RunError(f"{paths.root}: cannot create a run here: {error.strerror or error}")


def _find_owner(paths: RunPaths) -> str:
    """Return the pid of the owner for messages; the owner writes it some microseconds after it takes the lock."""
    deadline = time.monotonic() + _OWNER_WAIT_SECONDS
    while time.monotonic() < deadline:
        try:
            return f" (pid {int(paths.pid.read_text())})"
        except (OSError, ValueError):
            time.sleep(0.01)
    return ""
