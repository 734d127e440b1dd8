"""Measure speed, memory and processor time of a training."""

from __future__ import annotations

import logging
import time
from pathlib import Path
from typing import Any

import torch
from stable_baselines3.common.utils import safe_mean

from sb3_ext.arguments import validate_arguments
from sb3_ext.callbacks.bases.episode_callback import EpisodeCallback
from sb3_ext.callbacks.measures.resources import ResourceUsage, ResourceWatch
from sb3_ext.callbacks.measures.stopwatch import Stopwatch
from sb3_ext.checkpoints.bundle.versions import read_versions
from sb3_ext.phases import Phases
from sb3_ext.ranges import Positive
from sb3_ext.reports.benchmark_file import SpeedHistory, summarize_speed, write_benchmark
from sb3_ext.runs.machine import describe_machine

logger = logging.getLogger(__name__)

_MIN_STRETCH_SECONDS = 1.0
_STRETCHES_PER_TRAINING = 1000  # at most about this many, so that they stay small after a week


class BenchmarkCallback(EpisodeCallback):
    """
    Measure steps per second, the shares of collecting and updating, memory and processor time, including those of
    worker processes, and write them when training ends. In a script::

        model.learn(100_000, callback=[BenchmarkCallback("benchmark_metrics.json"), TimeBudgetCallback(60)])

    A thread samples memory and processor time at most once a second. Evaluating and saving count as collecting or
    updating unless other callbacks enter these phases in the same ``phases``.

    :param path: JSON file with the fields of :meth:`summarize`; ``None`` writes none
    :param phases: phases shared with other callbacks; ``None`` for new ones
    :param duration_seconds: requested duration, which is only recorded
    """

    state_key = "benchmark"

    @validate_arguments
    def __init__(
        self, path: Path | str | None = None, phases: Phases | None = None, duration_seconds: Positive | None = None
    ) -> None:
        super().__init__()
        self._path = None if path is None else Path(path)
        self._phases = Phases() if phases is None else phases
        self._duration_seconds = duration_seconds
        self._stopwatch = Stopwatch()
        self._resources = ResourceWatch()
        self._speed = SpeedHistory()
        self._sessions = 1
        self._iterations = 0
        self._first_step: int | None = None
        self._cuda_peak_bytes = 0
        self._is_measuring = False
        self._stretch: tuple[float, int, float] | None = None

    def summarize(self) -> dict[str, Any]:
        """
        Summarize the measurements so far.

        :return: the fields of ``summarize_speed``; ``asked_seconds``; ``sessions``, how many
            processes it took; ``memory``: ``kind`` (``pss`` or ``rss``), ``peak_bytes`` and ``mean_bytes`` of all
            processes, ``cuda_peak_bytes``; ``cpu``: ``cores_used`` by all processes on average, and
            ``core_percents``, utilization of each core of the machine by any process; ``episodes``,
            ``episode_return_mean`` of the last 100; ``machine``, the one of the last session
        """
        usage = self._resources.usage
        latest = self.model.ep_info_buffer
        self._note_cuda_peak()
        return {
            **summarize_speed(
                self._speed,
                steps=self.model.num_timesteps - (self._first_step or 0),
                iterations=self._iterations,
                duration_seconds=self._stopwatch.elapsed_seconds,
                phase_seconds=self._phases.seconds,
            ),
            "asked_seconds": self._duration_seconds,
            "sessions": self._sessions,
            "memory": {
                "kind": usage.memory_kind,
                "peak_bytes": usage.memory_peak_bytes or None,
                "mean_bytes": usage.memory_mean_bytes,
                "cuda_peak_bytes": self._cuda_peak_bytes or None,
            },
            "cpu": {"cores_used": usage.cores_used, "core_percents": usage.core_percents},
            "episodes": self.episodes,
            "episode_return_mean": float(safe_mean([episode["r"] for episode in latest])) if latest else None,
            "machine": {
                **describe_machine(),
                "device": str(self.model.device),
                "torch_threads": torch.get_num_threads(),
                "versions": read_versions(),
            },
        }

    def close(self) -> None:
        """End and write the measurement unless the end of training has done so, for example after an exception."""
        if self._is_measuring:
            self._finish()

    @property
    def resource_usage(self) -> ResourceUsage:
        """Memory and processor time of this process and its workers since ``learn`` began, as of the last sample."""
        return self._resources.current

    def state_dict(self) -> dict[str, Any]:
        """See :class:`~sb3_ext.stateful.Stateful`."""
        self._note_cuda_peak()
        return {
            **super().state_dict(),
            **self._stopwatch.state_dict(),
            "phase_seconds": self._phases.state_dict(),
            "resources": self._resources.state_dict(),
            "sessions": self._sessions,
            "iterations": self._iterations,
            "first_step": self._first_step,
            "cuda_peak_bytes": self._cuda_peak_bytes,
            "history": self._speed.state_dict(),
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """See :class:`~sb3_ext.stateful.Stateful`."""
        super().load_state_dict(state)
        self._stopwatch.load_state_dict(state)
        self._phases.load_state_dict(state["phase_seconds"])
        self._resources.load_state_dict(state["resources"])
        self._sessions = state["sessions"] + 1
        self._iterations = state["iterations"]
        self._first_step = state["first_step"]
        self._cuda_peak_bytes = state["cuda_peak_bytes"]
        self._speed.load_state_dict(state["history"])
        if self._stretch is not None:
            self._begin_stretch()

    def _on_training_start(self) -> None:
        super()._on_training_start()
        if self._first_step is None:
            self._first_step = self.num_timesteps
        self._is_measuring = True
        self._stretch = None
        self._stopwatch.start()
        self._resources.start()

    def _on_rollout_start(self) -> None:
        super()._on_rollout_start()
        self._phases.enter("collecting")
        if self._stretch is None or self._is_stretch_long(self._stretch[0]):
            self._end_stretch()
            self._begin_stretch()

    def _on_rollout_end(self) -> None:
        super()._on_rollout_end()
        self._iterations += 1
        self._phases.enter("updating")

    def _on_training_end(self) -> None:
        super()._on_training_end()
        self._phases.enter("finished")
        self._finish()

    def _finish(self) -> None:
        self._is_measuring = False
        if not len(self._speed):
            self._end_stretch()
        self._stopwatch.stop()
        self._resources.stop()
        if self._path is not None:
            try:
                write_benchmark(self._path, self.summarize())
            except OSError as error:
                # A full disk must not end training.
                logger.warning("%s cannot be written: %s", self._path, error.strerror)

    def _is_stretch_long(self, began_at: float) -> bool:
        seconds = time.monotonic() - began_at
        return seconds >= max(_MIN_STRETCH_SECONDS, self._stopwatch.elapsed_seconds / _STRETCHES_PER_TRAINING)

    def _begin_stretch(self) -> None:
        self._stretch = (time.monotonic(), self.model.num_timesteps, self._sum_training_seconds())

    def _end_stretch(self) -> None:
        if self._stretch is not None:
            _, step, seconds = self._stretch
            self._speed.add(self.model.num_timesteps - step, self._sum_training_seconds() - seconds)

    def _sum_training_seconds(self) -> float:
        seconds = self._phases.seconds
        return seconds.get("collecting", 0.0) + seconds.get("updating", 0.0)

    def _note_cuda_peak(self) -> None:
        if self.model.device.type == "cuda":
            self._cuda_peak_bytes = max(self._cuda_peak_bytes, torch.cuda.max_memory_reserved(self.model.device))
