"""Read a run from its directory, also from another process than the one that trains."""

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
from sb3_ext.runs.heartbeat_age import measure_age_by_clock, measure_age_by_file_system
from sb3_ext.runs.paths import RunPaths
from sb3_ext.runs.status import RunStatus, read_status

STALE_AFTER_SECONDS = 120.0
LIVE_STATUSES = ("running", "stale")


class Stretch(NamedTuple):
    """
    A period in which one process trained a run.

    :param host: machine of the process; ``None`` if unknown
    :param began: start, in seconds since 1970
    :param ended: last heartbeat, in seconds since 1970
    """

    host: str | None
    began: float
    ended: float


def is_run(directory: Path) -> bool:
    """Return whether a directory is a run directory, perhaps damaged: it has a ``status.json`` or a ``meta.json``."""
    paths = RunPaths(directory)
    try:
        return paths.status.exists() or paths.meta.exists()
    except PermissionError:  # a directory that this user cannot read
        return False


def is_half_created(directory: Path) -> bool:
    """
    Return whether a process has begun to create a run in a directory but has not written the last file, ``meta.json``.
    If that process has ended, the directory can be overwritten.
    """
    paths = RunPaths(directory)
    written = [paths.lock, paths.pid, paths.status, paths.config, paths.resolved_config, paths.requirements]
    entries = set(directory.iterdir())
    temporary = {entry for entry in entries if find_target(entry) in [*written, paths.meta]}
    return paths.lock in entries and entries - temporary <= set(written)


class Run:
    """
    A run directory, of a running or an ended run. Attributes are read from the disk on every access.

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
        Title of the run in plots and tables; see :meth:`RunStatus.title`.

        :raises RunError: if the status is missing or corrupt
        """
        return self.record.title(self.name)

    @property
    def record(self) -> RunStatus:
        """
        The content of ``status.json``, with :attr:`RunStatus.status` replaced by :attr:`status`, and the age of the
        heartbeat if the run has not ended.

        :raises RunError: if the file is missing or corrupt
        """
        record = self._read_record()
        if record.status != "running":
            return record
        if self._has_owner(record):
            return dataclasses.replace(record, status="stale") if self._is_stale(record) else record
        # The owner writes the final status before it releases the lock, and may have done both since the first read.
        record = self._read_record()
        return dataclasses.replace(record, status="dead") if record.status == "running" else record

    @property
    def status(self) -> str:
        """
        One of ``running``, ``completed``, ``stopped``, ``failed``; ``stale`` if its process is running without writing
        a heartbeat; ``dead`` if its process ended without writing a final status.

        :raises RunError: if the status is missing or corrupt
        """
        return self.record.status

    @property
    def config_text(self) -> str:
        """
        The config file as it was given.

        :raises RunError: if it cannot be read
        """
        return _read(self.paths.config).decode(errors="replace")

    @property
    def meta(self) -> dict[str, Any]:
        """
        The content of ``meta.json``.

        :raises RunError: if it cannot be read
        """
        return _read_json(self.paths.meta)

    @property
    def metrics(self) -> dict[str, Any]:
        """
        The content of ``metrics.json``; empty until the run has written it.

        :raises RunError: if it cannot be read
        """
        return _read_json(self.paths.metrics) if self.paths.metrics.exists() else {}

    @property
    def benchmark(self) -> dict[str, Any]:
        """
        The content of ``benchmark_metrics.json``; empty until the run has written it, at its end.

        :raises RunError: if it cannot be read
        """
        return _read_json(self.paths.benchmark_metrics) if self.paths.benchmark_metrics.exists() else {}

    @property
    def trackers(self) -> dict[str, str]:
        """
        URL of the run, or its id, by tracker; trackers that have neither are left out.

        :raises RunError: if the file cannot be read
        """
        path = self.paths.tracking_states
        states = _read_json(path) if path.exists() else {}
        places = {name: state.get("url") or state.get("id") for name, state in states.items()}
        return {name: place for name, place in places.items() if place}

    @property
    def resumes(self) -> list[dict[str, Any]]:
        """
        The lines of ``resumes.jsonl``, oldest first.

        :raises RunError: if it cannot be read
        """
        return _read_resumes(self.paths.resumes)

    @property
    def stretches(self) -> list[Stretch]:
        """
        Periods in which a process trained the run: from the start, and from each resume, to the last heartbeat after
        it. Periods with an unknown beginning or end are left out.

        :raises RunError: if the status is missing or corrupt
        """
        record, resumes = self.record, self.resumes
        starts = [record.start_time, *(line.get("time") for line in resumes)]
        ends = [line.get("previous_heartbeat") for line in resumes] + [record.last_heartbeat]
        hosts = [line.get("previous_host") for line in resumes] + [record.host]
        return [
            Stretch(host, datetime.fromisoformat(start).timestamp(), datetime.fromisoformat(end).timestamp())
            for host, start, end in zip(hosts, starts, ends, strict=True)
            if start is not None and end is not None
        ]

    def measure_bytes(self) -> int:
        """:return: size of all files of the run in bytes; a file with several hard links counts once"""
        sizes: dict[tuple[int, int], int] = {}
        for folder, _, names in os.walk(self.paths.root):
            for name in names:
                try:
                    info = os.lstat(os.path.join(folder, name))  # noqa: PTH118
                except FileNotFoundError:  # a running run replaces files all the time
                    continue
                sizes[info.st_dev, info.st_ino] = info.st_size
        return sum(sizes.values())

    def _read_record(self) -> RunStatus:
        record = read_status(self.paths.status)
        if record.status != "running" or record.last_heartbeat is None:
            return record
        if record.owner is None or record.owner.is_on_this_host():
            age = measure_age_by_clock(record.last_heartbeat)
        else:
            try:
                age = measure_age_by_file_system(self.paths.status)
            except OSError as error:
                raise RunError(f"{self.paths.status}: cannot be read: {error.strerror}") from error
        return dataclasses.replace(record, heartbeat_age_seconds=age)

    def _is_stale(self, record: RunStatus) -> bool:
        age = record.heartbeat_age_seconds
        return age is None or age > self.stale_after_seconds

    def _has_owner(self, record: RunStatus) -> bool:
        """Return whether the process that wrote the status is running: check the lock, then the process."""
        locked = is_locked(self.paths.lock)
        owner = record.owner
        if locked or owner is None:
            return bool(locked)
        if not owner.is_on_this_host():
            # On a shared file system with locks per host, a lock that is free here may be held on another host.
            return locked is None or not self._is_stale(record)
        return locked is None and owner.is_alive()


def _read_resumes(path: Path) -> list[dict[str, Any]]:
    """:return: the parsed lines; a line that is incomplete because of a full disk is left out"""
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
