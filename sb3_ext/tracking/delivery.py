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
_FIRST_RETRY_SECONDS, _LAST_RETRY_SECONDS = 1.0, 60.0


class SyncOutcome(NamedTuple):
    """
    The outcome of sending records to a tracker.

    :param name: name of the tracker
    :param sent: number of records sent
    :param left: number of records not sent
    :param error: why records were not sent; ``None`` if all were
    :param url: URL of the run; ``None`` if there is none
    """

    name: str
    sent: int
    left: int
    error: str | None
    url: str | None


class Delivery:
    """
    Send the durable records of the journal to a tracker, in a thread. Records that cannot be sent stay in the journal.

    The delivery state is written after each batch. If the process is killed between sending and writing, the batch is
    sent again: the tracker must recognise it by the id of its run, the step and the time.

    :param name: name of the tracker in the configuration
    :param tracker: the tracker, not started
    :param journal: journal of the run
    :param states: delivery states of the run
    :param run: description of the run for the tracker; ids, parent and the tags of a branch are taken from ``states``
    :param parameters: the resolved configuration: plain JSON data
    """

    def __init__(
        self,
        name: str,
        tracker: Tracker,
        journal: Journal,
        states: DeliveryStates,
        run: TrackedRun,
        parameters: Mapping[str, Any],
    ) -> None:
        self.name = name
        self._tracker = tracker
        self._journal = journal
        self._states = states
        self._run = run
        self._parameters = parameters
        self._wake = threading.Event()
        self._first_start = threading.Event()
        self._closing = threading.Event()
        self._abandoned = threading.Event()
        self._is_started = False
        self._has_warned = False
        self._last_error = "not everything could be sent in time"
        self._sent = 0
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
        left = sum(1 for _ in self._journal.read(state.position, self._journal.size))
        if left > 0:
            self._warn(self._last_error)
        return SyncOutcome(self.name, self._sent, left, self._last_error if left else None, state.url)

    def _rewind(self) -> None:
        """Begin a new run of the tracker, with the whole history, if training resumes before steps already sent."""
        state = self._states.get(self.name)
        if state.position > self._journal.size:
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
                if self._closing.is_set() and self._states.get(self.name).position == self._journal.size:
                    return
                retry_seconds = _FIRST_RETRY_SECONDS
                self._wake.wait()
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
            self._states.update(self.name, position=self._journal.find_position(stored), logged=stored)
        self._tracker.log_parameters(self._parameters)
        self._tracker.flush()
        self._is_started = True

    def _send(self) -> None:
        while True:
            position, limit = self._states.get(self.name).position, self._journal.durable_size
            batch = list(islice(self._journal.read(position, limit), _BATCH_RECORDS))
            if not batch:
                return
            for record, _ in batch:
                self._log(record)
            self._tracker.flush()
            last, position = batch[-1]
            # The end of an earlier training that was extended afterwards is not the end of the run.
            if last.status is not None and position == self._journal.size and self._closing.is_set():
                self._tracker.finish(last.status, last.summary)
            logged = self._states.get(self.name).logged + sum(1 for record, _ in batch if record.values)
            self._states.update(self.name, position=position, logged=logged)
            self._sent += len(batch)

    def _log(self, record: Record) -> None:
        if record.values:
            self._tracker.log_metrics(record.values, record.step, record.time_seconds)
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
            "tracker %s: %s; values not sent stay in %s; send them with `sb3-ext runs sync %s`, or resume the run",
            *(self.name, reason, self._run.directory / "tracking", self._run.directory),
        )
