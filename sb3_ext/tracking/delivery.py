"""Send the records of the journal to one tracker, in a background thread."""

from __future__ import annotations

import logging
import threading
from collections.abc import Mapping
from dataclasses import replace
from itertools import islice
from typing import Any, NamedTuple

from sb3_ext.errors import Sb3ExtError
from sb3_ext.tracking.delivery_states import DeliveryStates
from sb3_ext.tracking.journal import Journal, Record
from sb3_ext.tracking.redaction import describe_safely
from sb3_ext.tracking.tracker import TrackedRun, Tracker

logger = logging.getLogger(__name__)

_BATCH_RECORDS = 500
_SEND_EVERY_SECONDS = 5.0  # a service takes one large batch in less time than many small ones
_MAX_FILE_FAILURES, _MAX_LAST_FILE_FAILURES = 5, 2
_FIRST_RETRY_SECONDS, _LAST_RETRY_SECONDS = 1.0, 60.0


class SyncOutcome(NamedTuple):
    """
    The outcome of sending records to a tracker.

    :param name: name of the tracker
    :param sent: number of records sent
    :param left: number of records not sent
    :param error: why records were not sent; ``None`` if all were
    :param refused: files and models that the service refused
    :param url: URL of the run; ``None`` if there is none
    """

    name: str
    sent: int
    left: int
    error: str | None
    url: str | None
    refused: tuple[str, ...] = ()


class Delivery:
    """
    Send the durable records of the journal to a tracker, in a thread. Records that cannot be sent stay in the journal.

    The delivery state is written after each batch. If the process is killed between sending and writing, the batch is
    sent again: the tracker must recognise it by the id of its run, the step and the time.

    A file or a model that the service refuses, or that cannot be sent several times in a row, is left out, with a
    warning, so that it does not hold up what follows. The next delivery, by a resume or ``sb3-ext runs sync``, tries it
    again.

    :param name: name of the tracker in the configuration
    :param tracker: the tracker, not started
    :param journal: journal of the run
    :param states: delivery states of the run
    :param run: description of the run for the tracker; ids, parent and the tags of a branch are taken from ``states``
    :param parameters: the resolved configuration: plain JSON data
    :param how_to_sync: command or function that sends what is left, for messages; ``None`` for ``sb3-ext runs sync``
    """

    def __init__(
        self,
        name: str,
        tracker: Tracker,
        journal: Journal,
        states: DeliveryStates,
        run: TrackedRun,
        parameters: Mapping[str, Any],
        how_to_sync: str | None = None,
    ) -> None:
        self.name = name
        self._tracker = tracker
        self._journal = journal
        self._states = states
        self._run = run
        self._parameters = parameters
        self._how_to_sync = how_to_sync or f"sb3-ext runs sync {run.directory}"
        self._wake = threading.Event()
        self._first_start = threading.Event()
        self._closing = threading.Event()
        self._abandoned = threading.Event()
        self._is_started = False
        self._has_warned = False
        self._last_error = "not everything could be sent in time"
        self._sent = 0
        self._failing_file: int | None = None  # number of its record
        self._file_failures = 0
        self._has_given_up_file = False
        self._has_retried_files = False
        #: why the tracker refuses the run, which ends the thread; ``None`` if it does not
        self.refusal: Sb3ExtError | None = None
        self._thread = threading.Thread(target=self._work, name=f"tracker-{name}", daemon=True)

    def start(self, timeout_seconds: float) -> None:
        """
        Start the thread, and wait until the tracker has started, or cannot be reached.

        :param timeout_seconds: how long to wait; the thread keeps trying afterwards
        :raises Sb3ExtError: if the tracker reports an error that the user must correct
        """
        self._rewind()
        self._thread.start()
        if not self._first_start.wait(timeout_seconds):
            self._warn(f"has not answered for {timeout_seconds:g} s")
        if self.refusal is not None:
            raise self.refusal

    def wake(self) -> None:
        """Make the thread look for new durable records."""
        self._wake.set()

    def begin_closing(self) -> None:
        """
        End the thread once everything is sent, and finish the tracker if the last record is the end of a training. Call
        this before that record is durable.
        """
        self._closing.set()
        self._wake.set()

    def close(self, timeout_seconds: float) -> SyncOutcome:
        """
        Wait for the end of the thread after :meth:`begin_closing`. Records that are not sent by then stay in the
        journal.

        :param timeout_seconds: how long to wait
        :return: the outcome
        """
        self._thread.join(max(0.0, timeout_seconds))
        self._abandoned.set()
        state = self._states.get(self.name)
        left = self._journal.count(state.position)
        if left > 0:
            self._warn(self._last_error)
        refused = tuple(str(content.get("artifact") or content.get("model")) for content in state.refused)
        return SyncOutcome(self.name, self._sent, left, self._last_error if left else None, state.url, refused)

    def discard(self) -> None:
        """Delete the tracker's new run, after :meth:`close`, if the tracker can."""
        if self._thread.is_alive() or not self._is_started:
            return
        try:
            self._tracker.discard()
            self._states.update(self.name, id=None, url=None)
        except Exception as error:
            self._warn(f"its run could not be deleted: {describe_safely(error)}")

    def _rewind(self) -> None:
        """Begin a new run of the tracker, with the whole history, if training resumes before steps already sent."""
        state = self._states.get(self.name)
        if state.position > self._journal.end:
            step = self._run.step or 0
            logger.warning(
                "tracker %s has steps after %d, from which this run resumes; its new tracker run has the parent %s",
                *(self.name, step, state.id),
            )
            self._states.set(self.name, state.branch(step))

    def _work(self) -> None:
        retry_seconds = _FIRST_RETRY_SECONDS
        last_attempts = 2
        while last_attempts > 0 and not self._abandoned.is_set():
            try:
                self._start_tracker()
                self._first_start.set()
                self._retry_refused()
                self._send()
            except Sb3ExtError as error:
                self.refusal = error
                if self._first_start.is_set():
                    self._warn(str(error))
                self._first_start.set()
                return
            except (Exception, SystemExit) as error:
                self._is_started = False
                self._warn(describe_safely(error))
                self._first_start.set()
                if not self._closing.wait(retry_seconds):
                    retry_seconds = min(2 * retry_seconds, _LAST_RETRY_SECONDS)
                else:
                    last_attempts -= 1
                    self._abandoned.wait(_FIRST_RETRY_SECONDS)
            else:
                if self._closing.is_set() and self._states.get(self.name).position == self._journal.end:
                    return
                retry_seconds = _FIRST_RETRY_SECONDS
                self._wake.wait()
                self._closing.wait(_SEND_EVERY_SECONDS)
                self._wake.clear()

    def _start_tracker(self) -> None:
        if self._is_started:
            return
        state = self._states.get(self.name)
        tags = dict(self._run.tags)
        if state.parent_step is not None:
            tags["parent_step"] = str(state.parent_step)
        run = replace(self._run, id=state.id, logged=state.logged, parent_id=state.parent_id, tags=tags)
        found = self._tracker.start(run)
        self._states.update(self.name, id=found, url=self._tracker.url)
        stored = self._tracker.count_stored()
        if stored is not None and stored != state.logged:
            position = self._journal.find_number(state.position, stored - state.logged)
            self._states.update(self.name, position=position, logged=stored)
        self._tracker.log_parameters(self._parameters)
        self._tracker.flush()
        self._is_started = True

    def _send(self) -> None:
        while True:
            state, end = self._states.get(self.name), self._journal.durable_end
            batch = list(islice(self._journal.read(state.position, end), _BATCH_RECORDS))
            if not batch:
                return
            refused = [record.to_json() for record in batch if not self._log(record)]
            self._tracker.flush()
            last = batch[-1]
            # The end of an earlier training that was extended afterwards is not the end of the run.
            if last.status is not None and last.number + 1 == self._journal.end and self._closing.is_set():
                self._tracker.finish(last.status, last.summary)
            self._states.update(
                self.name,
                position=last.number + 1,
                logged=state.logged + sum(1 for record in batch if record.values),
                refused=(*state.refused, *refused),
            )
            self._sent += len(batch)

    def _retry_refused(self) -> None:
        """Try again what an earlier delivery left out."""
        position, refused = self._states.get(self.name).position, self._states.get(self.name).refused
        if self._has_retried_files or not refused:
            return
        still_refused = tuple(content for content in refused if not self._log(Record(**content)))
        self._tracker.flush()
        self._states.update(self.name, refused=still_refused)
        self._sent += len(refused) - len(still_refused)
        self._has_retried_files = True
        if position == self._journal.end and self._closing.is_set():
            for record in self._journal.read(position - 1, position):
                if record.status is not None:
                    self._tracker.finish(record.status, record.summary)

    def _log(self, record: Record) -> bool:
        """:return: whether the service has taken it, or need not"""
        if record.values:
            self._tracker.log_metrics(record.values, record.step, record.time_seconds)
        if record.artifact is None and record.model is None:
            return True
        try:
            self._log_files(record)
        except Sb3ExtError as error:
            self._give_up_file(record, str(error))
            return False
        except Exception as error:
            # Only if the tracker can be started again is it this file that fails, and not everything.
            self._file_failures = self._file_failures + 1 if self._failing_file == record.number else 1
            self._failing_file = record.number
            max_failures = _MAX_LAST_FILE_FAILURES if self._closing.is_set() else _MAX_FILE_FAILURES
            if self._file_failures < max_failures and not self._has_given_up_file:
                raise
            self._give_up_file(record, describe_safely(error))
            return False
        return True

    def _give_up_file(self, record: Record, reason: str) -> None:
        text = "tracker %s: %s is left out: %s; `%s` tries again"
        level = logging.DEBUG if self._has_given_up_file else logging.WARNING
        logger.log(level, text, self.name, record.artifact or record.model, reason, self._how_to_sync)
        self._has_given_up_file = True

    def _log_files(self, record: Record) -> None:
        if record.artifact is not None and (path := self._run.directory / record.artifact).is_file():
            self._tracker.log_artifact(path, record.artifact)
        if record.model is not None and self._tracker.registers_models:
            folder = self._run.directory / record.model
            if folder.is_dir():
                self._tracker.log_model(folder, record.score, record.time_seconds)

    def _warn(self, reason: str) -> None:
        self._last_error = reason
        if self._has_warned:
            logger.debug("tracker %s: %s", self.name, reason)
            return
        self._has_warned = True
        logger.warning(
            "tracker %s: %s; values not sent stay in %s; send them with `%s`, or resume the run",
            *(self.name, reason, self._run.directory / "tracking", self._how_to_sync),
        )
