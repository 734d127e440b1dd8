"""
Lock of a run directory. The owner holds it until its process ends; a forked child closes its copy at once.

The kernel releases the lock, also when the owner is killed. The package filelock is not used: it cannot tell whether
another process holds a lock without taking it, does not detect that a lock file was removed and created again, and does
not work on a file system without locks.
"""

from __future__ import annotations

import errno
import logging
import os
import time
import weakref
from pathlib import Path

from sb3_ext.file_lock import acquire_lock

logger = logging.getLogger(__name__)

_UNSUPPORTED = {errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP}
# is_locked() of a reader holds the lock for some microseconds; only an owner keeps it for longer.
_ATTEMPTS = 10
_ATTEMPT_SECONDS = 0.02

_held: weakref.WeakSet[RunLock] = weakref.WeakSet()


class RunLock:
    """
    An exclusive lock that this process holds until :meth:`release` or its end.

    :param path: the lock file; created if it is missing, never removed
    :raises BlockingIOError: if another process, or another ``RunLock`` of this process, holds it
    :raises OSError: if the file cannot be opened
    """

    def __init__(self, path: Path) -> None:
        self._descriptor: int | None = _acquire(path)
        _held.add(self)

    def release(self) -> None:
        """Release the lock. A second call does nothing."""
        descriptor, self._descriptor = self._descriptor, None
        if descriptor is not None:
            os.close(descriptor)


def _close_in_child() -> None:
    for lock in _held:
        lock.release()


if hasattr(os, "register_at_fork"):  # not on Windows, which cannot fork
    os.register_at_fork(after_in_child=_close_in_child)


def _acquire(path: Path) -> int | None:
    """:return: the descriptor; ``None`` on a file system without locks"""
    for attempt in range(_ATTEMPTS):
        if attempt:
            time.sleep(_ATTEMPT_SECONDS)
        try:
            descriptor = acquire_lock(path, wait=False)
        except OSError as error:
            if error.errno not in _UNSUPPORTED:
                raise
            logger.warning("%s: this file system has no locks: two processes can write one run", path.parent)
            return None
        if descriptor is not None:
            # A failed creation removes its directory with the lock file: a lock on a removed file protects nothing.
            if _is_same_file(descriptor, path):
                return descriptor
            os.close(descriptor)
    raise BlockingIOError(errno.EWOULDBLOCK, "locked by another process", str(path))


def _is_same_file(descriptor: int, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(descriptor), path.stat())
    except FileNotFoundError:
        return False
