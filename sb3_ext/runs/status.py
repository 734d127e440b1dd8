"""``status.json``: status and progress of a run, written by the run and read by other processes."""

from __future__ import annotations

import dataclasses
import json
import logging
import math
import time
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path
from typing import Any, get_args, get_origin, get_type_hints

from sb3_ext.atomic import overwrite_json, write_json
from sb3_ext.errors import RunError
from sb3_ext.runs.owner import Owner

logger = logging.getLogger(__name__)

WRITTEN_STATUSES = ("running", "completed", "stopped", "failed")
_LIMIT = 2.0**63  # above all valid counts and times; NaN and infinity fail the comparison, too
NO_UPDATE = "no update"
"""The stop reason of a run that reached a bound before its first update."""
NO_CHECKPOINT = "no checkpoint"
"""The stop reason of a run whose last state could not be saved."""
DISK_ERROR = "disk error"
"""The stop reason of a run whose last state could not be saved, since the disk is full, read-only or broken."""
RANK_LOST = "rank lost"
"""The stop reason of a run of which another process has ended or cannot be reached."""

_COMPLETING_REASONS = {"total_steps", "total_episodes", "duration", "converged", "plateau"}
_FAILING_REASONS = {"nan", NO_UPDATE, NO_CHECKPOINT, DISK_ERROR}


@dataclass(frozen=True)
class RunStatus:
    """
    The fields of ``status.json``; ``None`` means unknown or not applicable.

    :param status: ``running``, ``completed``, ``stopped`` or ``failed``
    :param phase: ``starting``, ``collecting``, ``updating``, ``evaluating``, ``saving``, ``finished``
    :param step: environment transitions so far
    :param total_steps: step at which the run ends, if it has a budget of steps
    :param used_share: finished share of the bound that ends the run first: steps, episodes or duration
    :param episode: episodes finished
    :param epsilon: exploration rate, for algorithms that have one
    :param fps: environment transitions per second
    :param eta_seconds: estimated time left
    :param elapsed_seconds: duration of training, including earlier parts of a resumed run
    :param episode_return_mean: mean return of the latest episodes
    :param best_evaluation: best mean return of an evaluation
    :param other_evaluations: mean return of the last evaluation in each further environment, by name
    :param rating: rating of the agent among its opponents in a two-player game: openskill's mean
    :param rating_sigma: uncertainty of the rating: openskill's standard deviation
    :param stage: number of the curriculum's stage, 0 before the first one
    :param stages: number of stages of the curriculum
    :param stage_name: name of the stage
    :param start_time: ISO 8601, UTC
    :param last_heartbeat: ISO 8601, UTC
    :param stop_reason: why the run ended; see :func:`status_for`
    :param stop_detail: details of the stop reason, such as numbers
    :param last_checkpoint: path of the newest checkpoint
    :param last_save_error: why the newest checkpoint could not be written
    :param pid: process id of the owner, which only the next three fields make unique
    :param host: machine of the owner
    :param boot_id: boot id of that machine
    :param process_start_ticks: when the owner started, in clock ticks since that boot
    :param run_id: unique id of the run, which never changes
    :param mock: whether the environment is a mock (``--mock-env``) with random observations and rewards
    :param heartbeat_age_seconds: seconds since the last heartbeat when a :class:`~sb3_ext.runs.run.Run` read this from
        the disk; not in the file
    """

    status: str = "running"
    phase: str = "starting"
    step: int = 0
    total_steps: int | None = None
    used_share: float | None = None
    episode: int = 0
    epsilon: float | None = None
    fps: float | None = None
    eta_seconds: float | None = None
    elapsed_seconds: float = 0.0
    episode_return_mean: float | None = None
    best_evaluation: float | None = None
    other_evaluations: dict[str, float] | None = None
    rating: float | None = None
    rating_sigma: float | None = None
    stage: int | None = None
    stages: int | None = None
    stage_name: str | None = None
    start_time: str | None = None
    last_heartbeat: str | None = None
    stop_reason: str | None = None
    stop_detail: str | None = None
    last_checkpoint: str | None = None
    last_save_error: str | None = None
    pid: int | None = None
    host: str | None = None
    boot_id: str | None = None
    process_start_ticks: int | None = None
    run_id: str | None = None
    mock: bool = False
    heartbeat_age_seconds: float | None = None

    @classmethod
    def begin(cls) -> RunStatus:
        """:return: the status of a run that this process starts now"""
        now = _format_now()
        owner = dataclasses.asdict(Owner.current())
        return cls(start_time=now, last_heartbeat=now, run_id=str(uuid.uuid4()), **owner)

    def resume(self) -> RunStatus:
        """:return: the status of this run for this process, which resumes it"""
        owner = dataclasses.asdict(Owner.current())
        now = _format_now()
        return dataclasses.replace(
            self,
            status="running",
            phase="starting",
            stop_reason=None,
            stop_detail=None,
            last_heartbeat=now,
            used_share=None,
            eta_seconds=None,
            **owner,
        )

    def title(self, name: str) -> str:
        """
        :param name: name of the run
        :return: title for plots and tables: the name, marked if the environment is a mock
        """
        return f"{name} (mock environment)" if self.mock else name

    @property
    def share(self) -> float | None:
        """Finished share of the nearest bound, at most 1; ``None`` without a known one."""
        return self._share_of_steps if self.used_share is None else min(self.used_share, 1.0)

    @property
    def nearest_total_steps(self) -> int | None:
        """``total_steps``, if no other bound is nearer."""
        share = self._share_of_steps
        return None if share is None or (self.used_share or 0.0) > share else self.total_steps

    @property
    def _share_of_steps(self) -> float | None:
        return min(self.step / self.total_steps, 1.0) if self.total_steps else None

    @property
    def explanation(self) -> str:
        """The stop reason with its detail; empty while the run is running."""
        return ": ".join(part for part in (self.stop_reason, self.stop_detail) if part)

    @property
    def owner(self) -> Owner | None:
        """The process that wrote this status; ``None`` if unknown."""
        if self.pid is None or self.host is None or self.boot_id is None or self.process_start_ticks is None:
            return None
        return Owner(self.pid, self.host, self.boot_id, self.process_start_ticks)

    def to_json(self) -> dict[str, Any]:
        """:return: plain data for JSON; NaN and infinity, which JSON lacks, become ``None``"""
        return {name: _make_plain(getattr(self, name)) for name in _FIELD_TYPES}

    @classmethod
    def from_json(cls, content: Any) -> RunStatus:
        """
        Parse the result of :meth:`to_json`. Unknown fields, from a later version, are ignored.

        :param content: parsed JSON
        :raises ValueError: if a field is missing or has an invalid value
        """
        if not isinstance(content, Mapping):
            raise ValueError(f"expected an object, found {type(content).__name__}")
        known = {name: content[name] for name in _FIELD_TYPES if name in content}
        for name, value in known.items():
            if type(value) not in _FIELD_TYPES[name]:
                raise ValueError(f"{name}: found {value!r}, expected {_describe_types(name)}")
            if isinstance(value, (int, float)) and not abs(value) < _LIMIT:
                raise ValueError(f"{name}: found {str(value)[:20]}, expected a number below 2**63")
        if known.get("status") not in WRITTEN_STATUSES:
            raise ValueError(f"status: found {known.get('status')!r}, expected one of {', '.join(WRITTEN_STATUSES)}")
        for name in ("start_time", "last_heartbeat"):
            if known.get(name) is not None:
                _check_time(name, known[name])
        if known["status"] == "running" and known.get("last_heartbeat") is None:
            raise ValueError("last_heartbeat: found none, expected a time, since the status is running")
        return cls(**known)


class StatusFile:
    """
    Write ``status.json``: changes are collected in memory and written together.

    If the status cannot be written, for example on a full disk, a warning is logged once, and training continues.

    :param path: the file
    :param status: initial status; its ``elapsed_seconds`` are the duration of earlier parts of a resumed run
    """

    def __init__(self, path: Path, status: RunStatus) -> None:
        self.path = path
        self.status = status
        self._earlier_seconds = status.elapsed_seconds
        self._start = time.monotonic()
        self._is_failing = False

    def update(self, **fields: Any) -> None:
        """
        Change fields, in memory only.

        :param fields: names and new values of :class:`RunStatus`
        :raises TypeError: if there is no such field
        """
        self.status = dataclasses.replace(self.status, **fields)

    def rewind(self, elapsed_seconds: float) -> None:
        """
        Set the duration of training back to that at a checkpoint.

        :param elapsed_seconds: duration at the checkpoint
        """
        self._earlier_seconds = elapsed_seconds

    def write(self, *, durable: bool = False) -> None:
        """
        Set ``last_heartbeat`` and ``elapsed_seconds`` and replace the file.

        :param durable: flush the file to the disk, so that it survives a power loss, as needed for the final status; if
            there is no space for a new file, overwrite the old one
        """
        elapsed = round(self._earlier_seconds + time.monotonic() - self._start, 3)
        self.update(last_heartbeat=_format_now(), elapsed_seconds=elapsed)
        try:
            try:
                write_json(self.path, self.status.to_json(), durable=durable)
            except OSError:
                if not durable:
                    raise
                overwrite_json(self.path, self.status.to_json())
        except OSError as error:
            if not self._is_failing:
                logger.warning("%s cannot be written; the run continues: %s", self.path, error)
            self._is_failing = True
        else:
            self._is_failing = False


def read_status(path: Path) -> RunStatus:
    """
    Read a run's status.

    :param path: a ``status.json``
    :raises RunError: if it is missing, cannot be read, or is not a status
    """
    try:
        return RunStatus.from_json(json.loads(path.read_bytes()))
    except OSError as error:
        raise RunError(f"{path}: cannot be read: {error.strerror}") from error
    except (ValueError, RecursionError) as error:
        raise RunError(f"{path}: corrupt: {error}") from error


def status_for(stop_reason: str) -> str:
    """
    Return the status for a stop reason.

    :param stop_reason: ``total_steps``, ``total_episodes``, ``duration``, ``converged``, ``plateau``;
        ``nan``, ``no update``, ``no checkpoint``, ``disk error``, ``error: …``; ``signal SIGTERM``, ``stop file``,
        ``pruned``, or the reason of a custom callback
    :return: ``completed`` for the first five, ``failed`` for the next five, ``stopped`` for the others
    """
    if stop_reason in _COMPLETING_REASONS:
        return "completed"
    if stop_reason in _FAILING_REASONS or stop_reason.startswith("error: "):
        return "failed"
    return "stopped"


def _format_now() -> str:
    return datetime.now(timezone.utc).isoformat(timespec="milliseconds")


def _make_plain(value: Any) -> Any:
    if hasattr(value, "item"):  # a NumPy scalar
        value = value.item()
    if isinstance(value, dict):
        return {name: _make_plain(item) for name, item in value.items()}
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _allowed_types(annotation: Any) -> tuple[type, ...]:
    types = tuple(get_origin(kind) or kind for kind in get_args(annotation)) or (annotation,)
    return (*types, int) if float in types else types


def _describe_types(name: str) -> str:
    return " or ".join("null" if kind is type(None) else kind.__name__ for kind in _FIELD_TYPES[name])


def _check_time(name: str, text: str) -> None:
    try:
        is_aware = datetime.fromisoformat(text).tzinfo is not None
    except ValueError:
        is_aware = False
    if not is_aware:
        raise ValueError(f"{name}: found {text!r}, expected an ISO 8601 time with its offset from UTC")


_FIELD_TYPES = {
    name: _allowed_types(annotation)
    for name, annotation in get_type_hints(RunStatus).items()
    if name != "heartbeat_age_seconds"
}
