"""Write TensorBoard event files to the run directory. A failing disk does not end training."""

from __future__ import annotations

import logging
import threading
from collections.abc import Mapping
from typing import Any

from stable_baselines3.common.logger import TensorBoardOutputFormat

from sb3_ext.tracking.tracker import TrackedRun, Tracker

logger = logging.getLogger(__name__)

FOLDER = "tensorboard"


class TensorBoardTracker(Tracker):
    """Writes event files to the folder ``tensorboard`` of the run directory."""

    rewinds = True

    def __init__(self) -> None:
        self._run: TrackedRun | None = None
        self._writer: EventWriter | None = None

    def start(self, run: TrackedRun) -> None:
        """
        Open a new event file if the run is resumed: TensorBoard then discards points after the step from which training
        resumes. A new run opens it with the first values, since the import of the writer takes 0.1 s.

        :param run: the run
        :raises OSError: if the folder cannot be written to
        """
        self._run = run
        if run.step is not None:
            self._open()

    def log_metrics(self, values: Mapping[str, Any], step: int, time_seconds: float) -> None:
        """
        :param values: values that SB3's logger accepts
        :param step: environment transitions so far
        :param time_seconds: ignored: TensorBoard uses the time of writing
        :raises OSError: if the folder cannot be written to
        """
        writer = self._writer or self._open()
        writer.write(dict(values), dict.fromkeys(values, ()), step)

    def finish(self, status: str, summary: Mapping[str, Any]) -> None:
        """
        :param status: ignored
        :param summary: ignored
        """
        if self._writer is not None:
            self._writer.close()

    def _open(self) -> EventWriter:
        assert self._run is not None, "started before"
        self._writer = EventWriter(str(self._run.directory / FOLDER), resumed_step=self._run.step)
        return self._writer


class EventWriter(TensorBoardOutputFormat):
    """
    SB3's output for TensorBoard, for disks that may become full.

    TensorBoard writes in a thread that ends at the first error; every later write raises that error. Here a warning is
    logged instead, and later events are dropped.

    :param folder: folder of the event files
    :param resumed_step: step from which training resumes; TensorBoard discards later points of an earlier process.
        ``None`` discards none
    :raises OSError: if the folder cannot be written to at the beginning
    """

    def __init__(self, folder: str, *, resumed_step: int | None = None) -> None:
        super().__init__(folder)
        if resumed_step is not None:
            # Points at the step of the checkpoint itself were written before it.
            self.writer.close()
            self.writer = type(self.writer)(log_dir=folder, purge_step=resumed_step + 1)
        self._is_failing = False
        self._previous_hook = threading.excepthook
        threading.excepthook = self._on_thread_error

    def write(self, key_values: dict[str, Any], key_excluded: dict[str, tuple[str, ...]], step: int = 0) -> None:
        """
        :param key_values: dumped values by name
        :param key_excluded: for each name, the outputs that must not write the value
        :param step: environment transitions so far
        """
        if not self._is_failing:
            try:
                super().write(key_values, key_excluded, step)
            except OSError as error:
                self._note(error)

    def close(self) -> None:
        """Write the remaining events, and close the file."""
        try:
            super().close()
        except OSError as error:
            self._note(error)
        threading.excepthook = self._previous_hook

    def _on_thread_error(self, arguments: threading.ExceptHookArgs) -> None:
        error = arguments.exc_value
        if isinstance(error, OSError) and type(arguments.thread).__module__.startswith("tensorboard."):
            self._note(error)
        else:
            self._previous_hook(arguments)

    def _note(self, error: OSError) -> None:
        if not self._is_failing:
            self._is_failing = True
            logger.warning("TensorBoard events cannot be written; training continues without them: %s", error.strerror)
