"""The journal of a run: a file with everything that it has logged, in order, from which trackers are sent records."""

from __future__ import annotations

import errno
import json
import os
import threading
from collections import deque
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np


@dataclass(frozen=True, kw_only=True)
class Record:
    """
    An entry of the journal: metrics, an artifact, a model, or the end of a training.

    :param logged_at: environment transitions when it was logged
    :param time_seconds: when it was logged, in seconds since 1970
    :param step: step of the values; earlier than ``logged_at`` for a background evaluation
    :param values: metrics by name
    :param artifact: path of an artifact below the run directory
    :param model: path of a model's folder below the run directory
    :param score: score of the model
    :param status: how the training ended: ``completed``, ``stopped`` or ``failed``
    :param summary: summary of the ended training
    """

    logged_at: int
    time_seconds: float
    step: int = 0
    values: dict[str, float] = field(default_factory=dict)
    artifact: str | None = None
    model: str | None = None
    score: float | None = None
    status: str | None = None
    summary: dict[str, Any] = field(default_factory=dict)

    def to_line(self) -> bytes:
        """:return: JSON with a line break; NaN and infinity are written as by Python's ``json``"""
        content = {name: value for name, value in asdict(self).items() if value not in (None, {})}
        return f"{json.dumps(content)}\n".encode()

    @classmethod
    def from_line(cls, line: bytes) -> Record:
        """
        :param line: a line from :meth:`to_line`
        :raises ValueError: if it is damaged
        """
        try:
            return cls(**json.loads(line))
        except TypeError as error:
            raise ValueError(str(error)) from error


class Journal:
    """
    The journal file. One thread appends, others read; positions are in bytes.

    A record is durable, and can be sent, when a checkpoint at or after its ``logged_at`` is on the disk, since the run
    never resumes from an earlier step.

    :param path: path of the file, which need not exist yet
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock = threading.Lock()
        self._ends: deque[tuple[int, int]] = deque()  # (logged_at, end of its last record), if not durable yet
        self._size = 0
        self._durable_size = 0
        #: whether the last record is the end of a training
        self.has_ended = False
        if path.exists():
            for record, end in self._scan():
                self._note_end(record, end)
            if self._size < path.stat().st_size:  # an incomplete last line
                os.truncate(path, self._size)

    @property
    def size(self) -> int:
        """The position after the last record."""
        return self._size

    @property
    def durable_size(self) -> int:
        """The position after the last durable record."""
        return self._durable_size

    def append(self, record: Record) -> None:
        """
        :param record: a record that was not logged before the last one
        :raises OSError: if the disk is full or fails; the record is then not in the file
        """
        line = record.to_line()
        with self._lock:
            try:
                self._path.parent.mkdir(parents=True, exist_ok=True)
                with self._path.open("ab", buffering=0) as file:
                    if file.write(line) < len(line):
                        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            except OSError:
                if self._path.exists():
                    os.truncate(self._path, self._size)  # part of the line may have been written
                raise
            self._note_end(record, self._size + len(line))

    def cut(self, step: int) -> None:
        """
        Remove the records that were logged after the checkpoint from which training resumes; the others are durable.

        :param step: step of the checkpoint
        """
        self.mark_durable(step)
        with self._lock:
            if self._ends:
                os.truncate(self._path, self._durable_size)
                self._size = self._durable_size
                self._ends.clear()

    def mark_durable(self, step: int) -> None:
        """:param step: step of a checkpoint that is on the disk"""
        with self._lock:
            while self._ends and self._ends[0][0] <= step:
                self._durable_size = self._ends.popleft()[1]

    def read(self, position: int, limit: int) -> Iterator[tuple[Record, int]]:
        """
        :param position: position of the first record
        :param limit: position after the last record
        :return: records, each with the position after it
        """
        return self._scan(position, limit)

    def find_position(self, count: int) -> int:
        """
        :param count: number of records with metrics
        :return: the position after this many of them; the end of the journal if there are fewer
        """
        position = 0
        for record, end in self._scan() if self._size and count else ():
            position, count = end, count - bool(record.values)
            if count == 0:
                break
        return position

    def _scan(self, position: int = 0, limit: int | None = None) -> Iterator[tuple[Record, int]]:
        if limit is not None and position >= limit:
            return
        with self._path.open("rb") as file:
            file.seek(position)
            while limit is None or position < limit:
                line = file.readline()
                if not line.endswith(b"\n"):
                    return
                try:
                    record = Record.from_line(line)
                except ValueError:
                    return  # damaged by a failing disk: the rest is unreliable, too
                position += len(line)
                yield record, position

    def _note_end(self, record: Record, end: int) -> None:
        self._size, self.has_ended, logged_at = end, record.status is not None, record.logged_at
        if self._ends and self._ends[-1][0] >= logged_at:
            logged_at = self._ends.pop()[0]
        self._ends.append((logged_at, end))


def select_numbers(values: Mapping[str, Any]) -> dict[str, float]:
    """
    :param values: the values of a dump of SB3's logger
    :return: the numbers among them, as Python numbers
    """
    return {
        name: value.item() if isinstance(value, np.number | np.bool_) else value
        for name, value in values.items()
        if isinstance(value, int | float | np.number | np.bool_)
    }
