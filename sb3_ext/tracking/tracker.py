"""The interface of all trackers."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar


@dataclass(frozen=True)
class RunGroup:
    """
    A group of runs, such as the trials of a study or the runs of a sweep over seeds.

    :param name: name of the group
    :param id: identifies the group among others of the same name
    :param directory: directory with the run directories
    """

    name: str
    id: str
    directory: Path


@dataclass(frozen=True)
class TrackedRun:
    """
    Description of a run for a tracker.

    :param name: name of the run
    :param directory: the run directory
    :param id: id of the tracker's run to continue, from an earlier :meth:`Tracker.start`; ``None`` begins a new one
    :param logged: number of calls of :meth:`Tracker.log_metrics` that the run has certainly received; later calls may
        be repeated after an error or a kill
    :param step: step from which training resumes; ``None`` for a new training
    :param parent_id: the id of the tracker's run from which this one branched, or which it replaces after a rewind
    :param tags: facts about the run, such as ``git_commit``; after a branch or a rewind ``parent_step``
    :param group: group to which the run belongs; ``None`` if it belongs to none
    """

    name: str
    directory: Path
    id: str | None = None
    logged: int = 0
    step: int | None = None
    parent_id: str | None = None
    tags: Mapping[str, str] = field(default_factory=dict)
    group: RunGroup | None = None


class Tracker(ABC):
    """
    Logs a run to one place.

    The constructor takes the values that the configuration gives, checks them, and connects to nothing. The other
    methods are called from one thread: :meth:`start` first, :meth:`finish` last; only :meth:`check_login` is called
    before, from another one.

    For an error that the user must correct (missing permission, an invalid name), raise an
    :class:`~sb3_ext.errors.Sb3ExtError` with one plain line; from the constructor or the first :meth:`start`, it ends
    the command before training begins. Any other exception means that the service cannot be reached: training
    continues, :meth:`start` is called again later, and values logged after the last :meth:`flush` are logged again.
    """

    rewinds: ClassVar[bool] = False
    """
    Whether :meth:`start` with a ``step`` removes values logged after that step. If so, values are logged at once, from
    the training loop. Otherwise they are logged from a thread, once a checkpoint of their step or a later one is on the
    disk, so that the run never resumes before a logged step.
    """

    def check_login(self) -> None:
        """
        Check that there is a login, without asking the service. Called for all trackers of a run before the first of
        them starts and makes anything. Does nothing unless overridden.

        :raises Sb3ExtError: if the user must log in first
        """
        return

    @property
    def is_local(self) -> bool:
        """
        Whether the run is written to local files only, so that no service can refuse it. Such trackers start last.
        """
        return False

    @abstractmethod
    def start(self, run: TrackedRun) -> str | None:
        """
        Begin or continue to log a run. May be called again on the same object after an error.

        :param run: the run
        :return: the tracker's id of the run, which is :attr:`TrackedRun.id` after a resume; ``None`` if it has none
        """

    def discard(self) -> None:
        """
        Delete the new run that :meth:`start` has made, since another tracker of this training was refused. Does nothing
        unless overridden; trackers that override it start first.
        """
        return

    @property
    def url(self) -> str | None:
        """URL of the run, after :meth:`start`; ``None`` if there is none."""
        return None

    def count_stored(self) -> int | None:
        """
        Return how much of the run the service has stored, after :meth:`start`, if it can lose logged values.

        :return: number of stored calls of :meth:`log_metrics`; logging continues after them. ``None`` if everything up
            to the last :meth:`flush` is stored, and values that are logged again are recognised
        """
        return None

    def log_parameters(self, parameters: Mapping[str, Any]) -> None:
        """
        Log the configuration of the run. Called after every :meth:`start`. Does nothing unless overridden.

        :param parameters: the resolved configuration: nested plain JSON data
        """
        return

    @abstractmethod
    def log_metrics(self, values: Mapping[str, Any], step: int, time_seconds: float) -> None:
        """
        Log values of one step.

        :param values: numbers by name, which may be NaN or infinite; with ``rewinds``, also other values that SB3's
            logger accepts: text, ``Image``, ``Figure``, ``Video``, tensors
        :param step: environment transitions so far
        :param time_seconds: when they were measured, in seconds since 1970; the same if they are logged again
        """

    def log_artifact(self, path: Path, name: str) -> None:
        """
        Upload a file. Does nothing unless overridden.

        :param path: the file
        :param name: its path among the artifacts of the run, with ``/``; an earlier file of this name is replaced
        """
        return

    @property
    def registers_models(self) -> bool:
        """Whether :meth:`log_model` is called at the end of a completed run."""
        return False

    def log_model(self, path: Path, score: float | None, time_seconds: float) -> None:
        """
        Register the agent of a completed run. Does nothing unless overridden.

        :param path: a folder in MLflow's format
        :param score: the mean return of the agent's evaluation; ``None`` if it has none
        :param time_seconds: time in seconds since 1970, which identifies the model if it is logged again
        """
        return

    def start_group(self, group: RunGroup) -> None:
        """
        Begin or continue a group, before its runs start, on an object that tracks no run. Does nothing unless
        overridden.

        :param group: the group
        """
        return

    def finish_group(self, group: RunGroup, status: str, summary: Mapping[str, Any]) -> None:
        """
        End a group after its runs. Does nothing unless overridden.

        :param group: the group, after :meth:`start_group`
        :param status: ``completed``, ``stopped`` or ``failed``
        :param summary: how it ended; text and numbers
        """
        return

    def flush(self) -> None:
        """Wait until everything logged so far is stored. Does nothing unless overridden."""
        return

    @abstractmethod
    def finish(self, status: str, summary: Mapping[str, Any]) -> None:
        """
        Write the remaining values, and close.

        :param status: ``completed``, ``stopped`` or ``failed``
        :param summary: how the run ended: ``stop_reason``, ``step``, ``best_return`` and more; text and numbers
        """
