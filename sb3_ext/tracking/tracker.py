"""The interface of all trackers."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class TrackedRun:
    """
    What a tracker is told about the run when it starts.

    :param name: of the run, as people know it
    :param directory: the run directory
    :param id: what :meth:`Tracker.start` returned earlier: continue that run; ``None``: begin a new one
    :param step: environment transitions after which the training resumes; ``None`` if it begins
    :param tags: facts about the run, such as ``git_commit``
    """

    name: str
    directory: Path
    id: str | None = None
    step: int | None = None
    tags: Mapping[str, str] = field(default_factory=dict)


class Tracker(ABC):
    """
    Logs a run to one place.

    The constructor takes the values that the configuration gives, checks them, and connects to nothing. The methods
    are called from one thread: :meth:`start` first, :meth:`finish` last.

    A mistake that the user can correct (no permission, a name that the service refuses) is an
    :class:`~sb3_ext.errors.Sb3ExtError` with one plain line; raised by the constructor or :meth:`start`, it ends the
    command before training begins. Any other exception means that the tracker cannot be reached or written to: training
    goes on.
    """

    @abstractmethod
    def start(self, run: TrackedRun) -> str | None:
        """
        Begin to log a run, or continue.

        :param run: the run
        :return: the id with which a later process continues, as :attr:`TrackedRun.id`; ``None`` if it needs none
        """

    def log_parameters(self, parameters: Mapping[str, Any]) -> None:
        """
        Log what the run was configured with; called after every :meth:`start`. Does nothing unless overridden.

        :param parameters: the resolved configuration: plain JSON data, nested
        """
        return

    @abstractmethod
    def log_metrics(self, values: Mapping[str, Any], step: int) -> None:
        """
        Log values of one step.

        :param values: name -> number; what SB3's logger also takes (text, ``Image``, ``Figure``, ``Video``, tensors)
            may be ignored
        :param step: environment transitions so far
        """

    def log_artifact(self, path: Path, name: str) -> None:
        """
        Keep a file with the run. Does nothing unless overridden.

        :param path: the file
        :param name: where it belongs among the run's files, with ``/``; an earlier file of this name is replaced
        """
        return

    @abstractmethod
    def finish(self, status: str) -> None:
        """
        Write what is left, and close.

        :param status: ``completed``, ``stopped`` or ``failed``
        """
