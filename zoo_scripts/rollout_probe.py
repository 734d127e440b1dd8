"""A callback with which benchmarks time the rollouts and updates of trainings in other processes."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path

import psutil
from stable_baselines3.common.callbacks import BaseCallback

FILE_VARIABLE = "ROLLOUT_PROBE"
"""Environment variable with the path of the file that :class:`RolloutProbe` writes at the end of the training."""


class RolloutProbe(BaseCallback):
    """
    Write the steps of a rollout, and for the start and the end of each rollout the clock and the processor time of the
    process and its children, in seconds, as JSON.
    """

    def __init__(self) -> None:
        super().__init__()
        self._times: list[tuple[float, float]] = []

    def _add(self) -> None:
        own = psutil.Process()
        spent = [process.cpu_times() for process in (own, *own.children(recursive=True))]
        self._times.append((time.perf_counter(), sum(times.user + times.system for times in spent)))

    def _on_step(self) -> bool:
        return True

    def _on_rollout_start(self) -> None:
        self._add()

    def _on_rollout_end(self) -> None:
        self._add()

    def _on_training_end(self) -> None:
        self._add()
        steps = self.model.n_steps * self.model.n_envs  # type: ignore[attr-defined]
        Path(os.environ[FILE_VARIABLE]).write_text(json.dumps([steps, self._times]))
