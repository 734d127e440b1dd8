"""
A run directory's lock: held by its owner for life, freed by the kernel however the owner ends.

``flock`` belongs to the open file, so a forked child would keep it; children close their copy at once.
"""

from __future__ import annotations

import errno
import fcntl
import logging
import os
import time
import weakref
from pathlib import Path

logger = logging.getLogger(__name__)

_UNSUPPORTED = {errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP}
# A reader's probe holds the lock for some microseconds; only one that stays is an owner's.
_ATTEMPTS = 10
_ATTEMPT_SECONDS = 0.02

_held: weakref.WeakSet[RunLock] = weakref.WeakSet()


class RunLock:
    """
    An exclusive lock that this process holds until :meth:`release` or its end.

    :param path: the lock file; created if it is missing, never removed
    :raises BlockingIOError: another process, or another lock of this one, holds it
    :raises OSError: the file cannot be opened
    """

    def __init__(self, path: Path) -> None:
        self._descriptor: int | None = _open_locked(path)
        _held.add(self)

    def release(self) -> None:
        """Let others have it. A second call does nothing."""
        descriptor, self._descriptor = self._descriptor, None
        if descriptor is not None:
            os.close(descriptor)


def is_locked(path: Path) -> bool | None:
    """
    Whether somebody holds the lock.

    :param path: the lock file
    :return: ``None`` if that cannot be known: no such file, no permission, a file system without locks
    """
    try:
        descriptor = os.open(path, os.O_RDONLY)
    except OSError:
        return None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:
        return None
    finally:
        os.close(descriptor)
    return False


def _close_in_child() -> None:
    for lock in _held:
        lock.release()


os.register_at_fork(after_in_child=_close_in_child)


def _open_locked(path: Path) -> int:
    for attempt in range(_ATTEMPTS):
        if attempt:
            time.sleep(_ATTEMPT_SECONDS)
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
        try:
            if _try_lock(descriptor, path):
                return descriptor
        except BaseException:
            os.close(descriptor)
            raise
        os.close(descriptor)
    raise BlockingIOError(errno.EWOULDBLOCK, "locked by another process", str(path))


def _try_lock(descriptor: int, path: Path) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError as error:
        if error.errno not in _UNSUPPORTED:
            raise
        logger.warning("%s: this file system has no locks: two processes on one run cannot be told apart", path.parent)
        return True
    # A failed creation removes its directory, lock file included: a lock on a removed file protects nothing.
    try:
        return os.path.samestat(os.fstat(descriptor), path.stat())
    except FileNotFoundError:
        return False
