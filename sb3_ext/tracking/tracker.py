"""The interface of all trackers."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar


@dataclass(frozen=True)
class TrackedRun:
    """
    What a tracker is told about the run when it starts.

    :param name: of the run, as people know it
    :param directory: the run directory
    :param id: what :meth:`Tracker.start` returned earlier: continue that run; ``None``: begin a new one
    :param logged: how many calls of :meth:`Tracker.log_metrics` the run has had; those after them may come again after
        an error or a kill
    :param step: environment transitions after which the training resumes; ``None`` if it begins
    :param parent_id: the id of the tracker's run from which this one branched, or which it replaces after a rewind
    :param tags: facts about the run, such as ``git_commit``; after a branch or a rewind ``parent_step``
    """

    name: str
    directory: Path
    id: str | None = None
    logged: int = 0
    step: int | None = None
    parent_id: str | None = None
    tags: Mapping[str, str] = field(default_factory=dict)


class Tracker(ABC):
    """
    Logs a run to one place.

    The constructor takes the values that the configuration gives, checks them, and connects to nothing. The other
    methods are called from one thread: :meth:`start` first, :meth:`finish` last.

    A mistake that the user can correct (no permission, a name that the service refuses) is an
    :class:`~sb3_ext.errors.Sb3ExtError` with one plain line; raised by the constructor or the first :meth:`start`, it
    ends the command before training begins. Any other exception means that the service cannot be reached: training
    goes on, :meth:`start` is called again later, and what was logged after the last :meth:`flush` is logged again.
    """

    rewinds: ClassVar[bool] = False
    """
    Whether :meth:`start` with a ``step`` removes what was logged after that step. Then values are logged at once, from
    the training loop. Otherwise they are logged from a thread, once a checkpoint has made their step durable: a run
    never resumes before what such a tracker has.
    """

    @abstractmethod
    def start(self, run: TrackedRun) -> str | None:
        """
        Begin to log a run, or continue; also after an error, on the same object.

        :param run: the run
        :return: the id with which a later process continues, as :attr:`TrackedRun.id`; ``None`` if it needs none
        """

    @property
    def url(self) -> str | None:
        """Where people look at the run, after :meth:`start`; ``None`` if there is no such place."""
        return None

    def count_stored(self) -> int | None:
        """
        Say what the place has of this run, after :meth:`start`, if it can lose what was logged.

        :return: how many calls of :meth:`log_metrics` it has; the next call is the one after them. ``None``: it has
            what was logged until the last :meth:`flush`, and recognises what is logged again
        """
        return None

    def log_parameters(self, parameters: Mapping[str, Any]) -> None:
        """
        Log what the run was configured with; called after every :meth:`start`. Does nothing unless overridden.

        :param parameters: the resolved configuration: plain JSON data, nested
        """
        return

    @abstractmethod
    def log_metrics(self, values: Mapping[str, Any], step: int, time_seconds: float) -> None:
        """
        Log values of one step.

        :param values: name -> number, which may be NaN or infinite; if the tracker ``rewinds``, also what else SB3's
            logger takes: text, ``Image``, ``Figure``, ``Video``, tensors
        :param step: environment transitions so far
        :param time_seconds: when they were measured, since 1970; the same if they are logged again
        """

    def log_artifact(self, path: Path, name: str) -> None:
        """
        Keep a file with the run. Does nothing unless overridden.

        :param path: the file
        :param name: where it belongs among the run's files, with ``/``; an earlier file of this name is replaced
        """
        return

    @property
    def registers_models(self) -> bool:
        """Whether :meth:`log_model` is to be called at the end of a completed run."""
        return False

    def log_model(self, path: Path, score: float | None, time_seconds: float) -> None:
        """
        Register the agent of a completed run. Does nothing unless overridden.

        :param path: a folder in MLflow's format
        :param score: the mean return of the agent's evaluation; ``None`` if it has none
        :param time_seconds: since 1970; identifies the model if it is logged again
        """
        return

    def flush(self) -> None:
        """Return when everything logged so far is where it belongs. Does nothing unless overridden."""
        return

    @abstractmethod
    def finish(self, status: str, summary: Mapping[str, Any]) -> None:
        """
        Write what is left, and close.

        :param status: ``completed``, ``stopped`` or ``failed``
        :param summary: how the run ended: ``stop_reason``, ``step``, ``best_return`` and more; text and numbers
        """
