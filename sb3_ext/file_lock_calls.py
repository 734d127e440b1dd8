"""Lock an open file: ``flock`` on POSIX, ``msvcrt.locking`` on Windows, and an error where neither exists."""

from __future__ import annotations

import errno
import os
import time
from typing import Any

try:
    import fcntl as _fcntl
except ImportError:
    _fcntl = None  # type: ignore[assignment]
_msvcrt: Any
try:
    import msvcrt as _msvcrt
except ImportError:
    _msvcrt = None

_LOCKED_BYTE = 2**30  # beyond the end of every lock file: on Windows other processes cannot read locked bytes
_POLL_SECONDS = 0.05


def lock_file(descriptor: int, *, wait: bool) -> None:
    """
    Lock a file for this process alone.

    :param descriptor: of the open file; closing it releases the lock
    :param wait: wait until another process has released it
    :raises BlockingIOError: if another process holds the lock, unless ``wait``
    :raises OSError: if the file system, or the system, has no locks
    """
    if _fcntl is not None:
        _fcntl.flock(descriptor, _fcntl.LOCK_EX if wait else _fcntl.LOCK_EX | _fcntl.LOCK_NB)
        return
    while True:
        try:
            _lock_byte(descriptor)
            return
        except BlockingIOError:
            if not wait:
                raise
        time.sleep(_POLL_SECONDS)


def try_lock(descriptor: int) -> None:
    """
    Test whether a lock is free, and do not keep it.

    :param descriptor: of a file that is open for this test only
    :raises BlockingIOError: if another process holds the lock
    :raises OSError: if the file system, or the system, has no locks
    """
    if _fcntl is not None:
        _fcntl.flock(descriptor, _fcntl.LOCK_SH | _fcntl.LOCK_NB)
    else:
        _lock_byte(descriptor)
        os.lseek(descriptor, _LOCKED_BYTE, os.SEEK_SET)
        _msvcrt.locking(descriptor, _msvcrt.LK_UNLCK, 1)


def _lock_byte(descriptor: int) -> None:
    if _msvcrt is None:
        raise OSError(errno.ENOSYS, "this system has no file locks")
    os.lseek(descriptor, _LOCKED_BYTE, os.SEEK_SET)
    try:
        _msvcrt.locking(descriptor, _msvcrt.LK_NBLCK, 1)
    except PermissionError as error:
        raise BlockingIOError(errno.EWOULDBLOCK, "locked by another process") from error
