"""
Locks on files and directories, which the kernel releases when their process ends, however it ends.

A process id in a file could belong to another process by then, or to one in another container.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


def acquire_lock(path: Path, *, wait: bool = True) -> int | None:
    """
    Lock a file or a directory for this process alone.

    ``flock`` belongs to the open file: a forked child has it, too, until it closes its copy of the descriptor.

    :param path: a directory, or a lock file, which is created if it is missing
    :param wait: until another process has released it
    :return: a descriptor, whose closing releases the lock; ``None`` if another process holds it
    :raises OSError: if the file cannot be opened, or the file system has no locks
    """
    descriptor = os.open(path, os.O_RDONLY if path.is_dir() else os.O_RDWR | os.O_CREAT, 0o666)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX if wait else fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        return None
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor


@contextmanager
def holding_lock(path: Path, *, required: bool = True) -> Iterator[None]:
    """
    Hold the lock on a file or a directory inside the block, after waiting for it.

    :param path: as for :func:`acquire_lock`
    :param required: false to go on without a lock where the file system has none
    :raises OSError: if a required lock cannot be had
    """
    try:
        descriptor = acquire_lock(path)
    except OSError:
        if required:
            raise
        descriptor = None
    try:
        yield
    finally:
        if descriptor is not None:
            os.close(descriptor)


def is_locked(path: Path) -> bool | None:
    """
    Say whether a process holds the lock on a file or a directory.

    :param path: is not created
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
