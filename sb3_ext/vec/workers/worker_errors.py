"""What goes wrong in another process, told in this one."""

from __future__ import annotations


class WorkerError(RuntimeError):
    """An environment has failed in a worker process, or the worker itself has."""


class WorkerLostError(WorkerError):
    """A worker process has ended, or does not answer."""
