"""A run as others see it: read-only, from nothing but its directory."""

from __future__ import annotations

import dataclasses
import json
import os
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from typing import Any, NamedTuple

from sb3_ext.atomic import find_target
from sb3_ext.errors import RunError
from sb3_ext.file_lock import is_locked
from sb3_ext.runs.paths import RunPaths
from sb3_ext.runs.status import RunStatus, read_status

STALE_AFTER_SECONDS = 120.0
LIVE_STATUSES = ("running", "stale")


class Stretch(NamedTuple):
    """
    A time in which one process worked on a run.

    :param host: its machine, if that is known
    :param began: seconds since 1970
    :param ended: likewise; the last heartbeat
    """

    host: str | None
    began: float
    ended: float


def is_run(directory: Path) -> bool:
    """Whether a directory is a run's: it has a status and a ``meta.json``, a damaged one at least one of them."""
    paths = RunPaths(directory)
    try:
        return paths.status.exists() or paths.meta.exists()
    except PermissionError:  # a directory that this user cannot read
        return False


def is_half_created(directory: Path) -> bool:
    """
    Whether a process has begun to create a run there and has not written the last file, ``meta.json``. If that process
    is gone, the directory can be overwritten.
    """
    paths = RunPaths(directory)
    written = [paths.lock, paths.pid, paths.status, paths.config, paths.resolved_config, paths.requirements]
    entries = set(directory.iterdir())
    temporary = {entry for entry in entries if find_target(entry) in [*written, paths.meta]}
    return paths.lock in entries and entries - temporary <= set(written)


class Run:
    """
    A run directory, of a run that is running or has ended. Each attribute is read from the disk on access.

    :param directory: the run directory
    :param stale_after_seconds: a running run without a heartbeat for this long is ``stale``
    :raises RunError: if it is not a run directory
    """

    def __init__(self, directory: Path, *, stale_after_seconds: float = STALE_AFTER_SECONDS) -> None:
        if not is_run(directory):
            raise RunError(f"{directory}: is not a run: it has neither a status.json nor a meta.json")
        self.paths = RunPaths(directory)
        self.stale_after_seconds = stale_after_seconds

    @property
    def name(self) -> str:
        """The directory's last part."""
        return self.paths.root.absolute().name

    @property
    def title(self) -> str:
        """
        How it is called above pictures and tables, see :meth:`RunStatus.title`.

        :raises RunError: the status is missing or corrupt
        """
        return self.record.title(self.name)

    @property
    def record(self) -> RunStatus:
        """
        The content of ``status.json``, except that :attr:`RunStatus.status` is :attr:`status`.

        :raises RunError: the file is missing or corrupt
        """
        record = read_status(self.paths.status)
        if record.status != "running":
            return record
        if self._has_owner(record):
            is_stale = record.heartbeat_age_seconds > self.stale_after_seconds
            return dataclasses.replace(record, status="stale") if is_stale else record
        # The owner writes the final status before it lets go of the lock: it may have done both since the first look.
        record = read_status(self.paths.status)
        return dataclasses.replace(record, status="dead") if record.status == "running" else record

    @property
    def status(self) -> str:
        """
        One of ``running``, ``completed``, ``stopped``, ``failed``; ``stale``: its process is running but gives
        no heartbeat; ``dead``: its process went without a word.

        :raises RunError: the status is missing or corrupt
        """
        return self.record.status

    @property
    def config_text(self) -> str:
        """
        The config file as it was given.

        :raises RunError: it cannot be read
        """
        return _read(self.paths.config).decode(errors="replace")

    @property
    def meta(self) -> dict[str, Any]:
        """
        The content of ``meta.json``.

        :raises RunError: it cannot be read
        """
        return _read_json(self.paths.meta)

    @property
    def metrics(self) -> dict[str, Any]:
        """
        The content of ``metrics.json``; empty until the run has written one.

        :raises RunError: it cannot be read
        """
        return _read_json(self.paths.metrics) if self.paths.metrics.exists() else {}

    @property
    def benchmark(self) -> dict[str, Any]:
        """
        The content of ``benchmark_metrics.json``; empty until the run has written one, at its end.

        :raises RunError: it cannot be read
        """
        return _read_json(self.paths.benchmark_metrics) if self.paths.benchmark_metrics.exists() else {}

    @property
    def trackers(self) -> dict[str, str]:
        """
        Where its trackers show the run: the page, or the id, by tracker; those that have neither are left out.

        :raises RunError: the file cannot be read
        """
        path = self.paths.tracking_states
        states = _read_json(path) if path.exists() else {}
        places = {name: state.get("url") or state.get("id") for name, state in states.items()}
        return {name: place for name, place in places.items() if place}

    @property
    def stretches(self) -> list[Stretch]:
        """
        When a process worked on the run: from its start, and from each resume, to the last heartbeat that followed.
        Those of which the beginning or the end is not known are left out.

        :raises RunError: the status is missing or corrupt
        """
        record, resumes = self.record, _read_resumes(self.paths.resumes)
        starts = [record.start_time, *(line.get("time") for line in resumes)]
        ends = [line.get("previous_heartbeat") for line in resumes] + [record.last_heartbeat]
        hosts = [line.get("previous_host") for line in resumes] + [record.host]
        return [
            Stretch(host, datetime.fromisoformat(start).timestamp(), datetime.fromisoformat(end).timestamp())
            for host, start, end in zip(hosts, starts, ends, strict=True)
            if start is not None and end is not None
        ]

    def measure_bytes(self) -> int:
        """:return: size of all files of the run in bytes; one that has several names (hard links) counts once"""
        sizes: dict[tuple[int, int], int] = {}
        for folder, _, names in os.walk(self.paths.root):
            for name in names:
                try:
                    info = os.lstat(os.path.join(folder, name))  # noqa: PTH118
                except FileNotFoundError:  # a running run replaces files all the time
                    continue
                sizes[info.st_dev, info.st_ino] = info.st_size
        return sum(sizes.values())

    def _has_owner(self, record: RunStatus) -> bool:
        """Whether the process that wrote the status is running: by the lock, then by the process's identity."""
        locked = is_locked(self.paths.lock)
        owner = record.owner
        if locked or owner is None:
            return bool(locked)
        if not owner.is_on_this_host():
            # A lock that is free here may be held there, if the shared file system keeps locks to each host.
            return locked is None or record.heartbeat_age_seconds <= self.stale_after_seconds
        return locked is None and owner.is_alive()


def _read_resumes(path: Path) -> list[dict[str, Any]]:
    """:return: a line each; one that a full disk has cut is left out"""
    if not path.exists():
        return []
    lines = []
    for line in _read(path).splitlines():
        with suppress(ValueError, TypeError):
            lines.append(dict(json.loads(line)))
    return lines


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise RunError(f"{path}: cannot be read: {error.strerror}") from error


def _read_json(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(_read(path))
    except (ValueError, RecursionError) as error:
        raise RunError(f"{path}: corrupt: {error}") from error
    if not isinstance(content, dict):
        raise RunError(f"{path}: corrupt: expected an object, found {type(content).__name__}")
    return content
