"""Manage all trackers of a run without slowing or ending its training."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterable, Mapping
from operator import methodcaller
from pathlib import Path
from typing import Any

from stable_baselines3.common.logger import KVWriter, filter_excluded_keys

from sb3_ext.atomic import remove_abandoned
from sb3_ext.errors import Sb3ExtError
from sb3_ext.tracking.delivery import Delivery, SyncOutcome
from sb3_ext.tracking.delivery_states import DeliveryStates, load_states
from sb3_ext.tracking.journal import Journal, Record, select_numbers
from sb3_ext.tracking.redaction import describe_safely
from sb3_ext.tracking.tracker import TrackedRun, Tracker
from sb3_ext.tracking.tracker_registry import TENSORBOARD

logger = logging.getLogger(__name__)

_START_TIMEOUT_SECONDS = 30.0
_FINISH_TIMEOUT_SECONDS = 60.0
_HURRIED_TIMEOUT_SECONDS = 3.0
_SYNC_TIMEOUT_SECONDS = 3600.0


class RunTrackers:
    """
    Start the trackers of a run, pass logged values to them, and finish them.

    Trackers with ``rewinds`` are called at once; if one fails, a warning is logged and it is no longer called. The
    others are sent values from a journal, which keeps the values that could not be sent.

    :param trackers: trackers by their names in the configuration
    :param journal_path: path of the journal, which is created only if a tracker needs it
    :param states_path: path of the delivery states
    :param get_step: returns the environment transitions so far
    :param waits_for_checkpoints: send values once :meth:`mark_durable` was called with their step or a later one,
        instead of at once
    :param how_to_sync: command or function that sends what is left, for messages; ``None`` for ``sb3-ext runs sync``
    """

    def __init__(
        self,
        trackers: Mapping[str, Tracker],
        journal_path: Path,
        states_path: Path,
        get_step: Callable[[], int],
        *,
        waits_for_checkpoints: bool = True,
        how_to_sync: str | None = None,
    ) -> None:
        self._live = {name: tracker for name, tracker in trackers.items() if tracker.rewinds}
        served = [name for name, tracker in trackers.items() if not tracker.rewinds]
        self._served = {name: trackers[name] for name in sorted(served, key=lambda name: _rank_start(trackers[name]))}
        self._journal_path = journal_path
        self._states_path = states_path
        self._get_step = get_step
        self._waits_for_checkpoints = waits_for_checkpoints
        self._how_to_sync = how_to_sync
        #: functions that are called with the numbers of a dump, and return further numbers for the journal
        self.measures: list[Callable[[Mapping[str, float]], Mapping[str, float]]] = []
        self._journal: Journal | None = None
        self._deliveries: list[Delivery] = []
        self._durable_step = 0
        self._is_journal_failing = False
        self._has_finished = False

    @property
    def output(self) -> KVWriter:
        """Output for the ``output_formats`` of SB3's ``Logger``, which passes dumped values to the trackers."""
        return _LoggerOutput(self.log_metrics)

    @property
    def has_journal(self) -> bool:
        """Whether a tracker is sent values from the journal."""
        return bool(self._served)

    @property
    def ids(self) -> dict[str, str]:
        """The trackers' ids of this run, by name of the tracker."""
        states = load_states(self._states_path)
        return {name: state.id for name, state in states.items() if state.id is not None}

    def start(
        self, run: TrackedRun, parameters: Mapping[str, Any], timeout_seconds: float = _START_TIMEOUT_SECONDS
    ) -> None:
        """
        :param run: description of the run; ids and parents are taken from the delivery states
        :param parameters: the resolved configuration: plain JSON data
        :param timeout_seconds: how long to wait for a tracker that does not answer
        :raises Sb3ExtError: if a tracker reports an error that the user must correct; started trackers are finished,
            and new runs deleted by those that can
        """
        self._durable_step = run.step or 0
        is_new = not self.ids
        self._check_logins()
        try:
            for name, tracker in list(self._live.items()):
                self._start_live(name, tracker, run, parameters)
            if self._served:
                self._serve(run, parameters, timeout_seconds)
        except Sb3ExtError:
            status, summary = self._find_earlier_end() or ("failed", {})
            self.finish(status, summary, hurried=True)
            if is_new:
                for delivery in self._deliveries:
                    delivery.discard()
            raise

    def log_metrics(self, values: Mapping[str, Any], step: int) -> None:
        """
        :param values: values that SB3's logger accepts, by name; the journal gets only the numbers
        :param step: step of the values
        """
        for name in list(self._live):
            self._call(name, methodcaller("log_metrics", values, step, time.time()))
        numbers = select_numbers(values)
        if numbers:
            for measure in self.measures:
                numbers |= measure(numbers)
            self._append(self._get_step(), step=step, values=numbers)
            if not self._waits_for_checkpoints:
                self.mark_durable(self._get_step())

    def log_artifacts(self, paths: Iterable[Path], root: Path) -> None:
        """
        Log files at the end of a training.

        :param paths: files below ``root``; missing files are skipped
        :param root: the run directory
        """
        for path in paths:
            if path.is_file():
                name = path.relative_to(root).as_posix()
                for tracker in list(self._live):
                    self._call(tracker, methodcaller("log_artifact", path, name))
                self._append(self._durable_step, artifact=name)

    @property
    def registers_models(self) -> bool:
        """Whether a tracker registers the agent of a completed run."""
        return any(tracker.registers_models for tracker in self._served.values())

    def log_model(self, path: Path, root: Path, score: float | None) -> None:
        """
        :param path: a folder in MLflow's format, below ``root``
        :param root: the run directory
        :param score: the mean return of the agent's evaluation; ``None`` if it has none
        """
        self._append(self._durable_step, model=path.relative_to(root).as_posix(), score=score)

    def mark_durable(self, step: int) -> None:
        """
        Send the values that were logged up to a checkpoint.

        :param step: step of a checkpoint that is on the disk
        """
        self._durable_step = max(self._durable_step, step)
        if self._journal is not None:
            self._journal.mark_durable(step)
            for delivery in self._deliveries:
                delivery.wake()

    def drop_after_checkpoint(self) -> None:
        """Remove values logged after the last checkpoint when training ends, since a resume would log them again."""
        if self._journal is not None:
            self._journal.cut(self._durable_step)

    def finish(self, status: str, summary: Mapping[str, Any], *, hurried: bool = False) -> None:
        """
        Send the remaining values, and finish all trackers. Further calls do nothing.

        :param status: ``completed``, ``stopped`` or ``failed``
        :param summary: how the run ended
        :param hurried: wait only for a few seconds
        """
        if self._has_finished:
            return
        self._has_finished = True
        for name in list(self._live):
            self._call(name, methodcaller("finish", status, summary))
        self.drop_after_checkpoint()
        self._append(self._durable_step, status=status, summary=dict(summary))
        for delivery in self._deliveries:
            delivery.begin_closing()
        self.mark_durable(self._durable_step)
        deadline = time.monotonic() + (_HURRIED_TIMEOUT_SECONDS if hurried else _FINISH_TIMEOUT_SECONDS)
        for delivery in self._deliveries:
            delivery.close(deadline - time.monotonic())

    def sync(
        self,
        run: TrackedRun,
        parameters: Mapping[str, Any],
        *,
        killed_summary: Mapping[str, Any] | None = None,
        files: Iterable[Path] = (),
        timeout_seconds: float = _SYNC_TIMEOUT_SECONDS,
    ) -> list[SyncOutcome]:
        """
        Send the values that an earlier process has left in the journal, and files that were written after training.
        Call this instead of :meth:`start`.

        :param run: the run, at the step of its last checkpoint
        :param parameters: the resolved configuration: plain JSON data
        :param killed_summary: summary of a killed run; ``None`` if the journal contains the end of training
        :param files: files below the run directory; those that the journal has in their present state are skipped
        :param timeout_seconds: how long to wait
        :return: the outcome of each tracker
        :raises Sb3ExtError: if a tracker refuses the run
        """
        self._durable_step = run.step or 0
        journal, states = self._open(run)
        if killed_summary is not None and not journal.has_ended:
            self._append(self._durable_step, status="failed", summary=dict(killed_summary))
        self._append_files(files, run.directory, journal)
        self.mark_durable(self._durable_step)
        outcomes = []
        for name, tracker in self._served.items():
            state = states.get(name)
            if (
                state.position == journal.end and not state.refused
            ):  # starting the tracker would only mark the run as running
                outcomes.append(SyncOutcome(name, 0, 0, None, state.url))
                continue
            delivery = Delivery(name, tracker, journal, states, run, parameters, self._how_to_sync)
            delivery.begin_closing()
            delivery.start(timeout_seconds)
            outcomes.append(delivery.close(timeout_seconds))
        return outcomes

    def _check_logins(self) -> None:
        try:
            for tracker in self._served.values():
                tracker.check_login()
        except Sb3ExtError:
            self._has_finished = True  # none has been started
            raise

    def _start_live(self, name: str, tracker: Tracker, run: TrackedRun, parameters: Mapping[str, Any]) -> None:
        try:
            tracker.start(run)
            tracker.log_parameters(parameters)
        except Sb3ExtError:
            raise
        except Exception as error:
            self._drop(name, error)

    def _serve(self, run: TrackedRun, parameters: Mapping[str, Any], timeout_seconds: float) -> None:
        journal, states = self._open(run)
        for name, tracker in self._served.items():
            delivery = Delivery(name, tracker, journal, states, run, parameters, self._how_to_sync)
            delivery.start(timeout_seconds)
            self._deliveries.append(delivery)

    def _open(self, run: TrackedRun) -> tuple[Journal, DeliveryStates]:
        remove_abandoned(self._journal_path.parent, (self._journal_path, self._states_path))
        states = DeliveryStates(self._states_path)
        self._journal = Journal(
            self._journal_path, find_sent=lambda: min(states.get(name).position for name in self._served)
        )
        self._journal.cut(run.step or 0)
        return self._journal, states

    def _find_earlier_end(self) -> tuple[str, Mapping[str, Any]] | None:
        """:return: status and summary of the ended training that was to be resumed"""
        if self._journal is None or not self._journal.has_ended:
            return None
        *_, last = self._journal.read(0, self._journal.end)
        return None if last.status is None else (last.status, last.summary)

    def _append_files(self, files: Iterable[Path], root: Path, journal: Journal) -> None:
        """Append the files that are not in the journal, or are newer, and the end of the training again."""
        records = list(journal.read(0, journal.end))
        logged = {record.artifact: record.time_seconds for record in records if record.artifact is not None}
        names = {path.relative_to(root).as_posix(): path.stat().st_mtime for path in files}
        new = [name for name, written_at in names.items() if written_at > logged.get(name, 0.0)]
        if not new or not journal.has_ended:
            return
        for name in new:
            self._append(self._durable_step, artifact=name)
        self._append(self._durable_step, status=records[-1].status, summary=records[-1].summary)

    def _append(self, logged_at: int, **content: Any) -> None:
        if self._journal is None:
            return
        try:
            self._journal.append(Record(logged_at=logged_at, time_seconds=time.time(), **content))
        except OSError as error:
            if not self._is_journal_failing:
                self._is_journal_failing = True
                logger.warning("%s cannot be written; trackers lose values: %s", self._journal_path, error.strerror)

    def _call(self, name: str, action: Callable[[Tracker], None]) -> None:
        tracker = self._live.get(name)
        if tracker is None:
            return
        try:
            action(tracker)
        except Exception as error:
            self._drop(name, error)

    def _drop(self, name: str, error: Exception) -> None:
        del self._live[name]
        logger.warning("tracker %s failed; training continues without it: %s", name, describe_safely(error))


def _rank_start(tracker: Tracker) -> tuple[bool, bool]:
    """:return: key by which trackers are sorted, so that as little as possible is left if a later one is refused"""
    return tracker.is_local, type(tracker).discard is Tracker.discard


class _LoggerOutput(KVWriter):
    """Forwards what a logger dumps, except values that are excluded from TensorBoard, such as the step."""

    def __init__(self, log: Callable[[Mapping[str, Any], int], None]) -> None:
        self._log = log

    def write(self, key_values: dict[str, Any], key_excluded: dict[str, tuple[str, ...]], step: int = 0) -> None:
        self._log(filter_excluded_keys(key_values, key_excluded, TENSORBOARD), step)

    def close(self) -> None:
        pass
