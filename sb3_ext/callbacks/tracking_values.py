"""Add episode statistics and system usage to the values that trackers get from the model's log."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from typing import Any

import torch

from sb3_ext.callbacks.bases.episode_callback import EpisodeCallback
from sb3_ext.callbacks.benchmark import BenchmarkCallback
from sb3_ext.callbacks.measures.resources import ResourceUsage, ResourceWatch
from sb3_ext.checkpoints.state.callback_tree import list_callbacks
from sb3_ext.tracking.run_trackers import RunTrackers


class TrackedValuesCallback(EpisodeCallback):
    """
    Measure what trackers get with each dump of the training log: ``episode/…`` (count, returns and lengths of the
    episodes since the last dump) and ``system/…`` (processor and memory of this process and its workers since the last
    dump; memory and use of the GPU on which the model is).

    Put it before the callback that dumps.
    """

    def __init__(self) -> None:
        super().__init__()
        self._returns: list[float] = []
        self._lengths: list[int] = []
        self._benchmark: BenchmarkCallback | None = None
        self._own_watch: ResourceWatch | None = None
        self._usage = ResourceUsage()

    def state_dict(self) -> dict[str, Any]:
        """See :class:`~sb3_ext.stateful.Stateful`."""
        return {**super().state_dict(), "returns": [*self._returns], "lengths": [*self._lengths]}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """See :class:`~sb3_ext.stateful.Stateful`."""
        super().load_state_dict(state)
        self._returns, self._lengths = list(state["returns"]), list(state["lengths"])

    def measure(self, values: Mapping[str, float]) -> dict[str, float]:
        """
        :param values: numbers of a dump
        :return: further ones for it; none for an evaluation
        """
        if any(name.startswith("eval/") for name in values):
            return {}
        measured: dict[str, float] = {"episode/count": self.episodes}
        if self._returns:
            measured |= {
                "episode/return_mean": sum(self._returns) / len(self._returns),
                "episode/return_min": min(self._returns),
                "episode/return_max": max(self._returns),
                "episode/length_mean": sum(self._lengths) / len(self._lengths),
            }
        self._returns, self._lengths = [], []
        return {**measured, **self._measure_system()}

    def _on_training_start(self) -> None:
        super()._on_training_start()
        others = list_callbacks(self.locals["callback"])
        # It watches already, and watching costs.
        self._benchmark = next((item for item in others if isinstance(item, BenchmarkCallback)), None)
        if self._benchmark is None:
            self._own_watch = self._own_watch or ResourceWatch()
            self._own_watch.start()
        self._usage = self._find_usage()

    def _on_episode(self, episode_return: float | None, episode_length: int | None, info: dict[str, Any]) -> None:
        if episode_return is not None and episode_length is not None:
            self._returns.append(episode_return)
            self._lengths.append(episode_length)

    def _stop_watching(self) -> None:
        if self._own_watch is not None:
            self._own_watch.stop()

    def _find_usage(self) -> ResourceUsage:
        if self._benchmark is not None:
            return self._benchmark.resource_usage
        return ResourceUsage() if self._own_watch is None else self._own_watch.current

    def _measure_system(self) -> dict[str, float]:
        usage, before = self._find_usage(), self._usage
        samples, seconds = usage.memory_samples - before.memory_samples, usage.wall_seconds - before.wall_seconds
        if samples < 0 or seconds < 0:  # the watch was started again
            self._usage = usage
        if samples <= 0 or seconds <= 0:
            return {}
        self._usage = usage
        return {
            "system/cpu_percent": 100 * (usage.cpu_seconds - before.cpu_seconds) / seconds,
            "system/memory_bytes": (usage.memory_sum_bytes - before.memory_sum_bytes) / samples,
            **_measure_gpu(self.model.device),
        }


class TrackingCallback(TrackedValuesCallback):
    """
    Add measured values to each dump of a run's training log, for trackers that are sent values from a journal. Its
    state includes the ids of the trackers' runs.

    :param trackers: the trackers of the run
    """

    state_key = "tracking"

    def __init__(self, trackers: RunTrackers) -> None:
        super().__init__()
        self._trackers = trackers

    def state_dict(self) -> dict[str, Any]:
        """See :class:`~sb3_ext.stateful.Stateful`. Ids are not loaded: trackers read them from the run directory."""
        return {**super().state_dict(), "ids": self._trackers.ids}

    def _on_training_start(self) -> None:
        super()._on_training_start()
        self._trackers.measures.append(self.measure)


def _measure_gpu(device: torch.device) -> dict[str, float]:
    if device.type != "cuda":
        return {}
    measured: dict[str, float] = {"system/gpu_memory_bytes": torch.cuda.memory_reserved(device)}
    with suppress(Exception):  # without nvidia-ml-py; a driver or a part of a GPU (MIG) that does not report it
        measured["system/gpu_percent"] = torch.cuda.utilization(device)
    return measured
