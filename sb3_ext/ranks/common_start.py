"""Begin on all ranks or on none."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from sb3_ext.disk_errors import describe_disk_error, find_disk_error
from sb3_ext.errors import DiskError, RankError, Sb3ExtError
from sb3_ext.ranks.rank_group import RankGroup


class StartFailed(Exception):
    """A rank cannot begin, which rank 0 reports."""


@contextmanager
def starting_together(group: RankGroup | None) -> Iterator[None]:
    """
    End all ranks if one of them cannot do what is in the block. Rank 0 raises the error, the others end silently.

    :param group: the ranks; ``None`` for this process alone
    :raises Sb3ExtError: on rank 0, its own error; that of a full disk is a :class:`DiskError`
    :raises RankError: on rank 0, with the error of another rank
    :raises StartFailed: on other ranks
    """
    error: Sb3ExtError | None = None
    try:
        yield
    except Sb3ExtError as raised:
        error = raised
    except OSError as raised:
        disk_error = find_disk_error(raised)
        if disk_error is None:
            raise
        error = DiskError(describe_disk_error(disk_error))
        error.__cause__ = disk_error
    found = [error and str(error)] if group is None else group.gather(error and str(error))
    if group is not None and not group.is_leader and any(found):
        raise StartFailed
    if error is not None:
        raise error
    for rank, message in enumerate(found):
        if message is not None:
            raise RankError(f"rank {rank}: {message}")
