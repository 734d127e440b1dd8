"""The journal of a run: a file with everything that it has logged, in order, from which trackers are sent records."""

from __future__ import annotations

import errno
import itertools
import json
import logging
import os
import threading
from array import array
from bisect import bisect_left
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import IO, Any

import numpy as np

from sb3_ext.atomic import write_bytes
from sb3_ext.formatting import format_bytes

logger = logging.getLogger(__name__)

_MAX_BYTES = 64 * 2**20


@dataclass(frozen=True, kw_only=True)
class Record:
    """
    An entry of the journal: metrics, an artifact, a model, or the end of a training.

    :param number: its place in the journal: 0, 1, …
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

    number: int = 0
    logged_at: int
    time_seconds: float
    step: int = 0
    values: dict[str, float] = field(default_factory=dict)
    artifact: str | None = None
    model: str | None = None
    score: float | None = None
    status: str | None = None
    summary: dict[str, Any] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        """:return: the fields that are given"""
        # Not asdict(), which copies every value.
        return {name: value for name, value in vars(self).items() if value is not None and value != {}}

    def to_line(self) -> bytes:
        """:return: JSON with a line break; NaN and infinity are written as by Python's ``json``"""
        return f"{json.dumps(self.to_json())}\n".encode()

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
    The journal file. One thread appends, others read.

    A record is durable, and can be sent, when a checkpoint at or after its ``logged_at`` is on the disk, since the run
    never resumes from an earlier step.

    A journal that has become too large is halved: first, the oldest records that every tracker was sent are dropped,
    except those of files, which show what need not be sent again; then every second record of training values, with a
    warning. Evaluations, models and the end of a training are kept until they are sent. The numbers of the other
    records do not change.

    :param path: path of the file, which need not exist yet
    :param max_bytes: size above which it is halved
    :param find_sent: returns the number of the first record that a tracker was not sent
    """

    def __init__(self, path: Path, *, max_bytes: int = _MAX_BYTES, find_sent: Callable[[], int] = lambda: 0) -> None:
        self._path = path
        self._max_bytes = max_bytes
        self._find_sent = find_sent
        self._has_warned = False
        self._lock = threading.Lock()
        self._ends: deque[tuple[int, int]] = deque()  # (logged_at, number after its last record), if not durable yet
        self._numbers, self._offsets = array("Q"), array("Q")  # of each record
        self._size = 0  # in bytes
        self._end = 0
        self._durable_end = 0
        #: whether the last record is the end of a training
        self.has_ended = False
        if path.exists():
            with path.open("rb") as file:
                for record, line in _parse(file):
                    self._note(record, len(line))
            if self._size < path.stat().st_size:  # an incomplete last line
                os.truncate(path, self._size)

    @property
    def end(self) -> int:
        """The number that the next record gets."""
        return self._end

    @property
    def durable_end(self) -> int:
        """The number after the last durable record."""
        return self._durable_end

    @property
    def last_step(self) -> int:
        """Environment transitions when the last record was logged; 0 if there is none."""
        last = next(self.read(self._numbers[-1], self._end), None) if self._numbers else None
        return 0 if last is None else last.logged_at

    def append(self, record: Record) -> None:
        """
        :param record: a record that was not logged before the last one
        :raises OSError: if the disk is full or fails; the record is then not in the file
        """
        with self._lock:
            record = replace(record, number=self._end)
            line = record.to_line()
            try:
                if not self._numbers:
                    self._path.parent.mkdir(parents=True, exist_ok=True)
                with self._path.open("ab", buffering=0) as file:
                    if file.write(line) < len(line):
                        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            except OSError:
                if self._path.exists():
                    os.truncate(self._path, self._size)  # part of the line may have been written
                raise
            self._note(record, len(line))
            if self._size > self._max_bytes:
                self._shrink()

    def cut(self, step: int) -> None:
        """
        Remove the records that were logged after the checkpoint from which training resumes; the others are durable.

        :param step: step of the checkpoint
        """
        self.mark_durable(step)
        with self._lock:
            if self._ends:
                first = bisect_left(self._numbers, self._durable_end)
                if first == 0 and self._numbers:  # older records were dropped
                    self._durable_end = self._numbers[0]
                if first < len(self._numbers):
                    self._size = self._offsets[first]
                    os.truncate(self._path, self._size)
                    del self._numbers[first:], self._offsets[first:]
                self._end = self._durable_end
                self._ends.clear()

    def mark_durable(self, step: int) -> None:
        """:param step: step of a checkpoint that is on the disk"""
        with self._lock:
            while self._ends and self._ends[0][0] <= step:
                self._durable_end = self._ends.popleft()[1]

    def count(self, first: int) -> int:
        """:return: the number of records from the number ``first`` on"""
        return len(self._numbers) - bisect_left(self._numbers, first)

    def read(self, first: int, end: int) -> Iterator[Record]:
        """
        :param first: number of the first record
        :param end: number after the last record
        :return: the records that have not been dropped
        """
        with self._lock:
            place = bisect_left(self._numbers, first)
            if place == len(self._numbers) or self._numbers[place] >= end:
                return
            file = self._path.open("rb")  # this file, even if a smaller one replaces it meanwhile
            file.seek(self._offsets[place])
        with file:
            for record, _ in _parse(file):
                if record.number >= end:
                    return
                yield record
                if record.number + 1 == end:
                    return

    def find_number(self, first: int, count: int) -> int:
        """
        :param first: number of a record
        :param count: number of records with metrics; negative for earlier ones
        :return: the number after so many of them, as far as there are records
        """
        if count < 0:
            earlier = [record.number for record in self.read(0, first) if record.values]
            return earlier[max(count, -len(earlier))] if earlier else first
        found = first
        for record in itertools.islice((record for record in self.read(first, self._end) if record.values), count):
            found = record.number + 1
        return found

    def _note(self, record: Record, size: int) -> None:
        self._numbers.append(record.number)
        self._offsets.append(self._size)
        self._size += size
        self._end, self.has_ended, logged_at = record.number + 1, record.status is not None, record.logged_at
        if self._ends and self._ends[-1][0] >= logged_at:
            logged_at = self._ends.pop()[0]
        self._ends.append((logged_at, self._end))

    def _shrink(self) -> None:
        """Halve the file, and keep what matters. A disk that fails leaves it as it is."""
        data, sent, target = self._path.read_bytes(), self._find_sent(), self._max_bytes // 2
        sizes = [end - begin for begin, end in itertools.pairwise([*self._offsets, self._size])]
        lines = [data[begin : begin + size] for begin, size in zip(self._offsets, sizes, strict=True)]
        excess = self._size - target + sum(len(line) for line in lines if _is_artifact(line))
        first = min(bisect_left(self._numbers, sent), bisect_left(self._offsets, excess), len(sizes) - 1)
        kept = [
            (number, line, _is_lasting(line))
            for place, (number, line) in enumerate(zip(self._numbers, lines, strict=True))
            if place >= first or _is_artifact(line)
        ]
        size = sum(len(line) for _, line, _ in kept)
        while size > target and not all(is_lasting for _, _, is_lasting in kept[:-1]):
            if not self._has_warned:
                self._has_warned = True
                logger.warning(
                    "%s: values of more than %s have not been sent; only some of the values of training are kept, and "
                    "all evaluations and files",
                    *(self._path, format_bytes(target)),
                )
            turns = itertools.count()
            kept = [item for item in kept if item[2] or item is kept[-1] or next(turns) % 2]
            size = sum(len(line) for _, line, _ in kept)
        try:
            write_bytes(self._path, b"".join(line for _, line, _ in kept), durable=False)
        except OSError:
            self._max_bytes *= 2
            return
        self._max_bytes = max(self._max_bytes, 2 * size)  # not at every call, if nothing more can be dropped
        self._numbers = array("Q", [number for number, _, _ in kept])
        self._offsets = array("Q", itertools.accumulate((len(line) for _, line, _ in kept[:-1]), initial=0))
        self._size = size


def _is_lasting(line: bytes) -> bool:
    """Whether a large journal keeps the record until it is sent: all but values of training."""
    return b'"values": {' not in line or b'"eval/' in line


def _is_artifact(line: bytes) -> bool:
    return b'"values": {' not in line and b'"artifact": "' in line


def _parse(file: IO[bytes]) -> Iterator[tuple[Record, bytes]]:
    """:return: the records from the position of the file on, each with its line, as far as they are intact"""
    for line in file:
        if not line.endswith(b"\n"):
            return
        try:
            yield Record.from_line(line), line
        except ValueError:
            return  # damaged by a failing disk: the rest is unreliable, too


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
