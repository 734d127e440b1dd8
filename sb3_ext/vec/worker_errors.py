"""What goes wrong in another process, told in this one."""

from __future__ import annotations


class WorkerError(RuntimeError):
    """An environment has failed in a worker process, or the worker itself has."""


class WorkerLostError(WorkerError):
    """A worker process has ended, or does not answer."""


class RemoteTraceback(Exception):
    """
    Stands as the cause above an error that comes from another process.

    :param text: the traceback as it was there
    """

    def __str__(self) -> str:
        return f"\n\n{self.args[0]}"
