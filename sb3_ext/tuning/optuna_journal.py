"""
Optuna's journal file, made safe against killed processes.

Without this, a process that is killed while it appends leaves an incomplete line, with which the study cannot be read;
and Optuna's lock is a file, which remains when its owner is killed.
"""

from __future__ import annotations

import json
import logging
import os
from pathlib import Path
from typing import BinaryIO

from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend

from sb3_ext.file_lock import acquire_lock
from sb3_ext.internals.optuna import BaseJournalFileLock

logger = logging.getLogger(__name__)

LOCK_SUFFIX = ".flock"  # not Optuna's own .lock, which it takes for held as long as it exists
_BLOCK_BYTES = 4096


def open_journal(path: Path) -> JournalStorage:
    """
    :param path: the file; created if it is missing
    :return: the storage in it
    :raises OSError: if it cannot be opened
    :raises ValueError: if it is not a journal
    """
    lock = JournalLock(path)
    if path.exists():
        lock.acquire()
        lock.release()
    return JournalStorage(JournalFileBackend(str(path), lock))


class JournalLock(BaseJournalFileLock):
    """
    A lock for one writer at a time, which also removes an incomplete line at the end of the file. Such a line was
    never committed: a writer continues only when its line is on the disk.

    The kernel releases the lock when its owner ends, also when it is killed.

    :param path: the journal
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._descriptor: int | None = None

    def acquire(self) -> bool:
        """Wait for it. :return: ``True``"""
        self._descriptor = acquire_lock(self._path.with_name(self._path.name + LOCK_SUFFIX))
        try:
            self._repair()
        except BaseException:
            self.release()
            raise
        return True

    def release(self) -> None:
        """Let others have it."""
        descriptor, self._descriptor = self._descriptor, None
        assert descriptor is not None, "released without being held"
        os.close(descriptor)

    def _repair(self) -> None:
        with self._path.open("rb+") as file:
            size = file.seek(0, os.SEEK_END)
            end = _find_end(file, size)
            if end < size:
                logger.warning(
                    "%s: a process was killed while writing; the incomplete last line of %d bytes is removed",
                    self._path,
                    size - end,
                )
                file.truncate(end)
                os.fsync(file.fileno())


def _find_end(file: BinaryIO, size: int) -> int:
    """:return: where the last complete line ends"""
    end = _find_line_break(file, size)
    # A power failure may have kept the length of the last line, and zeros in its place.
    start = _find_line_break(file, end - 1) if end else 0
    file.seek(start)
    return end if end == 0 or _is_json(file.read(end - start)) else start


def _find_line_break(file: BinaryIO, before: int) -> int:
    """:return: the position behind the last line break before a position; 0 if there is none"""
    while before > 0:
        start = max(0, before - _BLOCK_BYTES)
        file.seek(start)
        found = file.read(before - start).rfind(b"\n")
        if found >= 0:
            return start + found + 1
        before = start
    return 0


def _is_json(line: bytes) -> bool:
    try:
        json.loads(line)
    except ValueError:
        return False
    return True
