"""
Locks by which one process at a time changes a study, with all earlier changes visible to it.

The kernel, or the database server, releases a lock when its owner ends, also when it is killed.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import sqlalchemy

from sb3_ext.file_lock import holding_lock

Exclusion = Callable[[], AbstractContextManager[None]]
"""Returns a context manager that holds the lock; a thread must not enter it twice."""


def exclude_by_file(path: Path) -> Exclusion:
    """
    :param path: the lock file; created if it is missing, never removed
    :return: the exclusion of all processes that use this file
    """
    return lambda: holding_lock(path)


def exclude_by_server(engine: sqlalchemy.Engine, name: str) -> Exclusion:
    """
    :param engine: of PostgreSQL, MySQL or MariaDB
    :param name: the study's
    :return: the exclusion of all processes that are connected to this database, by one of its advisory locks
    """
    key = zlib.crc32(name.encode())
    if engine.dialect.name == "postgresql":
        lock, unlock = f"SELECT pg_advisory_lock({key})", f"SELECT pg_advisory_unlock({key})"
    else:
        lock, unlock = f"SELECT GET_LOCK('sb3-ext-{key}', -1)", f"SELECT RELEASE_LOCK('sb3-ext-{key}')"

    @contextmanager
    def hold() -> Iterator[None]:
        with engine.connect() as connection:
            connection.execute(sqlalchemy.text(lock))
            try:
                yield
            finally:
                connection.execute(sqlalchemy.text(unlock))

    return hold
