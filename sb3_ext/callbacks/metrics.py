"""Record all metrics of a training."""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

from stable_baselines3.common.logger import KVWriter, Logger

from sb3_ext.callbacks.bases.episode_callback import EpisodeCallback
from sb3_ext.callbacks.measures.stopwatch import Stopwatch
from sb3_ext.reports.metrics_file import MetricsHistory, replace_non_finite, write_metrics

logger = logging.getLogger(__name__)


class MetricsCallback(EpisodeCallback):
    """
    Record every episode, and every number that the model's logger dumps, in ``history``.

    Put it after callbacks that log at the end of training.

    :param path: JSON file to write when training ends; ``None`` writes none
    """

    state_key = "metrics"

    def __init__(self, path: Path | str | None = None) -> None:
        super().__init__()
        self.history = MetricsHistory()
        #: further top-level sections of the file, by name
        self.sections: dict[str, Any] = {}
        self._path = None if path is None else Path(path)
        self._stopwatch = Stopwatch()
        self._writer = _HistoryWriter(self._add_logged)
        self._logger: Logger | None = None
        self._first_step: int | None = None

    def save(self) -> None:
        """Write the file now, for example after an exception."""
        if self._path is not None:
            write_metrics(self._path, self.history, {"summary": self.summarize(), **self.sections})

    def summarize(self) -> dict[str, Any]:
        """
        Summarize the training.

        :return: the section ``summary`` of the file
        """
        elapsed_seconds = self._stopwatch.elapsed_seconds
        step = 0 if self._first_step is None else self.model.num_timesteps
        return {
            "step": step,
            "elapsed_seconds": elapsed_seconds,
            "fps": (step - (self._first_step or 0)) / elapsed_seconds if elapsed_seconds > 0 else None,
            **self.history.summarize(),
        }

    def state_dict(self) -> dict[str, Any]:
        """See :class:`~sb3_ext.stateful.Stateful`."""
        return {
            **super().state_dict(),
            **self._stopwatch.state_dict(),
            "first_step": self._first_step,
            "sections": replace_non_finite(self.sections),
            "history": self.history.state_dict(),
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """See :class:`~sb3_ext.stateful.Stateful`."""
        super().load_state_dict(state)
        self._stopwatch.load_state_dict(state)
        self._first_step = state["first_step"]
        self.sections = dict(state["sections"])
        self.history.load_state_dict(state["history"])

    def _on_training_start(self) -> None:
        super()._on_training_start()
        if self._first_step is None:
            self._first_step = self.num_timesteps
        self._stopwatch.start()
        self._logger = self.logger
        self._logger.output_formats.append(self._writer)

    def _on_episode(self, episode_return: float | None, episode_length: int | None, info: dict[str, Any]) -> None:
        self.history.add_episode(self.num_timesteps, episode_return, episode_length, self._stopwatch.elapsed_seconds)

    def _on_training_end(self) -> None:
        self._stopwatch.stop()
        if self._logger is not None:
            self._logger.output_formats.remove(self._writer)
            self._logger = None
        try:
            self.save()
        except OSError as error:
            # A full disk must not prevent the rest of the end of training.
            logger.warning("%s cannot be written: %s", self._path, error.strerror)

    def _add_logged(self, step: int, values: dict[str, Any]) -> None:
        self.history.add_training(step, self._stopwatch.elapsed_seconds, values)


class _HistoryWriter(KVWriter):
    """Forwards what a logger dumps."""

    def __init__(self, add: Callable[[int, dict[str, Any]], None]) -> None:
        self._add = add

    def write(self, key_values: dict[str, Any], key_excluded: dict[str, tuple[str, ...]], step: int = 0) -> None:
        self._add(step, key_values)

    def close(self) -> None:
        pass
