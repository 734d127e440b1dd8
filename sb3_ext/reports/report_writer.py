"""``metrics.json`` and ``training_curves.png``, written behind the training loop."""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

from sb3_ext.reports.evaluations import read_evaluations
from sb3_ext.reports.metrics_file import MetricsHistory, write_metrics

logger = logging.getLogger(__name__)

_CURVES_EVERY_SECONDS = 60.0  # drawing takes about a second of one core


class ReportWriter:
    """
    Writes reports in a thread, one at a time; requests that come meanwhile are combined into the next one.

    :param metrics: the JSON file
    :param evaluations: the JSON Lines file of the evaluations, for the picture
    :param curves: the picture
    :param title: what stands above the picture
    :param of_game: whether episodes are games of two players
    :param other_evaluations: files of the evaluations beside the first, by name
    """

    def __init__(
        self,
        metrics: Path,
        evaluations: Path,
        curves: Path,
        title: str,
        *,
        of_game: bool = False,
        other_evaluations: Mapping[str, Path] | None = None,
    ) -> None:
        self._metrics = metrics
        self._evaluations = evaluations
        self._curves = curves
        self._title = title
        self._of_game = of_game
        self._other_evaluations = other_evaluations or {}
        self._executor = ThreadPoolExecutor(max_workers=1, thread_name_prefix="report-writer")
        self._pending: Future[None] | None = None
        self._draw_at = time.monotonic() + _CURVES_EVERY_SECONDS

    def submit(self, history: MetricsHistory, sections: Mapping[str, Any]) -> None:
        """
        Write soon, if nothing is being written; the picture once a minute.

        :param history: is copied
        :param sections: further sections of the file
        """
        if self._pending is not None and not self._pending.done():
            return
        draw = time.monotonic() >= self._draw_at
        if draw:
            self._draw_at = time.monotonic() + _CURVES_EVERY_SECONDS
        copied = MetricsHistory()
        copied.load_state_dict(history.state_dict())
        self._pending = self._executor.submit(self._write, copied, dict(sections), draw)

    def finish(self, history: MetricsHistory, sections: Mapping[str, Any], *, draw: bool = True) -> None:
        """
        Write everything now, and wait for it.

        :param history: of the whole training
        :param sections: further sections of the file
        :param draw: the picture, too
        """
        self._executor.submit(self._write, history, dict(sections), draw).result()

    def close(self) -> None:
        """Wait for what is being written."""
        self._executor.shutdown()

    def _write(self, history: MetricsHistory, sections: Mapping[str, Any], draw: bool) -> None:
        try:
            write_metrics(self._metrics, history, sections)
            if draw:
                from sb3_ext.reports.curves import plot_curves

                evaluations = read_evaluations(self._evaluations) if self._evaluations.exists() else []
                others = {name: read_evaluations(path) for name, path in self._other_evaluations.items()}
                plot_curves(
                    history.to_dict(),
                    evaluations,
                    self._curves,
                    title=self._title,
                    of_game=self._of_game,
                    other_evaluations=others,
                )
        except OSError as error:
            # A full disk must not end the training.
            logger.warning("%s cannot be written; training continues: %s", error.filename or "a report", error.strerror)
