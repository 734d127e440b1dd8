"""
Locks on files and directories. The kernel releases them when their process ends, also when it is killed.

A process id in a file would not do: it may belong to another process later, or to one in another container.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sb3_ext.file_lock_calls import lock_file, try_lock


def acquire_lock(path: Path, *, wait: bool = True) -> int | None:
    """
    Lock a file or a directory for this process alone.

    The lock belongs to the open file: a forked child holds it, too, until it closes its copy of the descriptor.

    :param path: a directory, or a lock file, which is created if it is missing
    :param wait: wait until another process has released it
    :return: a descriptor; closing it releases the lock. ``None`` if another process holds the lock
    :raises OSError: if the file cannot be opened, or the file system has no locks
    """
    descriptor = os.open(path, os.O_RDONLY if path.is_dir() else os.O_RDWR | os.O_CREAT, 0o666)
    try:
        lock_file(descriptor, wait=wait)
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
    Wait for the lock on a file or a directory, and hold it inside the block.

    :param path: as for :func:`acquire_lock`
    :param required: ``False`` continues without a lock where the file system does not support locks
    :raises OSError: if a required lock cannot be acquired
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
    Return whether a process holds the lock on a file or a directory.

    :param path: not created if it is missing
    :return: ``None`` if this is unknown: no such file, no permission, or a file system without locks
    """
    try:
        descriptor = os.open(path, os.O_RDONLY)
    except OSError:
        return None
    try:
        try_lock(descriptor)
    except BlockingIOError:
        return True
    except OSError:
        return None
    finally:
        os.close(descriptor)
    return False
