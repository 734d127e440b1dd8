"""Show progress: a bar in a terminal, log lines elsewhere."""

from __future__ import annotations

import atexit
import logging
import sys
import time
from collections.abc import Sequence
from datetime import timedelta
from typing import TYPE_CHECKING

from stable_baselines3.common.utils import safe_mean

from sb3_ext.arguments import validate_arguments
from sb3_ext.callbacks.bases.light_callback import LightCallback
from sb3_ext.callbacks.estimated_steps import Budget
from sb3_ext.callbacks.measures.training_outlook import TrainingOutlook
from sb3_ext.ranges import Positive, PositiveInt

if TYPE_CHECKING:
    from rich.progress import Progress

logger = logging.getLogger(__name__)

_BAR_EVERY_SECONDS = 0.2


class ProgressCallback(LightCallback):
    """
    Show steps, mean return of the latest episodes, speed and time left.

    In a terminal this is a bar at the bottom of stderr, below other output; it needs the package ``rich``. Elsewhere it
    is a log line every few seconds, at level INFO.

    :param total_steps: step at which training ends; ``None`` if unknown
    :param every_seconds: time between two log lines
    :param budgets: further bounds, such as a :class:`TimeBudgetCallback`: share and time left are those of the bound
        that ends the training first
    :raises ValueError: if a number is out of its range
    """

    is_patient = True

    @validate_arguments
    def __init__(
        self,
        total_steps: PositiveInt | None = None,
        every_seconds: Positive = 5.0,
        *,
        budgets: Sequence[Budget] = (),
    ) -> None:
        super().__init__()
        self._line_every_seconds = every_seconds
        self._outlook = TrainingOutlook(total_steps, budgets)
        self._show_at = 0.0
        self._bar: Progress | None = None

    def close(self) -> None:
        """Remove the bar. ``learn`` does so when it returns; call it after an exception."""
        if self._bar is not None:
            self._bar.stop()
            atexit.unregister(self._bar.stop)
            self._bar = None

    def _on_training_start(self) -> None:
        self._outlook.restart()
        self._outlook.add(time.monotonic(), self.num_timesteps)
        if sys.stderr.isatty():
            self._bar = _make_bar()
            self._bar.start()
            # Restore the cursor if an exception ends the program.
            atexit.register(self._bar.stop)
        self._show_at = time.monotonic() + self._interval_seconds

    def _on_step(self) -> bool:
        if time.monotonic() >= self._show_at:
            self._show()
        return True

    def _on_training_end(self) -> None:
        self._show(has_ended=True)
        self.close()

    @property
    def _interval_seconds(self) -> float:
        return self._line_every_seconds if self._bar is None else _BAR_EVERY_SECONDS

    def _show(self, *, has_ended: bool = False) -> None:
        now = time.monotonic()
        self._show_at = now + self._interval_seconds
        step = self.model.num_timesteps
        self._outlook.add(now, step)
        share, details = self._outlook.used_share, self._format_details(has_ended=has_ended)
        if self._bar is None:
            logger.info("step %s%s  %s", self._format_steps(step), "" if share is None else f" ({share:.1%})", details)
        else:
            self._bar.update(
                self._bar.task_ids[0],
                total=None if share is None else 1.0,
                completed=share or 0.0,
                steps=self._format_steps(step),
                details=details,
                refresh=True,
            )

    def _format_steps(self, step: int) -> str:
        total_steps = self._outlook.nearest_total_steps
        return str(step) if total_steps is None else f"{step}/{total_steps}"

    def _format_details(self, *, has_ended: bool) -> str:
        latest = self.model.ep_info_buffer
        fps = self._outlook.fps
        eta_seconds = None if has_ended else self._outlook.estimate_eta_seconds()
        parts = [
            f"return {safe_mean([episode['r'] for episode in latest]):.2f}" if latest else None,
            f"{fps:.0f} FPS" if fps is not None else None,
            f"ETA {timedelta(seconds=round(eta_seconds))}" if eta_seconds is not None else None,
        ]
        return "  ".join(part for part in parts if part is not None)


def _make_bar() -> Progress:
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn

    columns = (
        TextColumn("{task.fields[steps]}"),
        BarColumn(bar_width=20),
        TaskProgressColumn(),
        TextColumn("{task.fields[details]}"),
    )
    # Without a thread: a bar that moves while the environment hangs would be misleading.
    bar = Progress(*columns, console=Console(stderr=True), auto_refresh=False)
    bar.add_task("training", total=None, steps="", details="")
    return bar
