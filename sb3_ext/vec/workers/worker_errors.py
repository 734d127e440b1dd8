"""Errors of worker processes."""

from __future__ import annotations


class WorkerError(RuntimeError):
    """An environment failed in a worker process, or the worker itself failed."""


class WorkerLostError(WorkerError):
    """A worker process ended, or does not answer."""
