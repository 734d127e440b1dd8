"""
One process at a time: what is decided about a study's trials is decided by one, seeing what all others have decided.

The kernel, or the database server, frees these locks when their holder ends, however it ends.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import sqlalchemy

from sb3_ext.file_lock import holding_lock

Exclusion = Callable[[], AbstractContextManager[None]]
"""Called, it gives a block in which no other process is; not to be entered twice by one thread."""


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
