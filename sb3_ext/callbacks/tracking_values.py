"""Add episode statistics and system usage to the values that trackers get from the model's log."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

import psutil
import torch

from sb3_ext.callbacks.bases.episode_callback import EpisodeCallback
from sb3_ext.tracking.run_trackers import RunTrackers

_LOOK_EVERY_SECONDS = 1.0


class TrackingCallback(EpisodeCallback):
    """
    Add values to each dump of the training log, for trackers that are served from a journal: ``episode/…`` (count,
    returns and lengths of the episodes since the last dump) and ``system/…`` (processor and memory of this process, GPU
    memory).

    Put it before the callback that dumps. Its state includes the ids of the trackers' runs.

    :param trackers: the trackers of the run
    """

    state_key = "tracking"

    def __init__(self, trackers: RunTrackers) -> None:
        super().__init__()
        self._trackers = trackers
        self._returns: list[float] = []
        self._lengths: list[int] = []
        self._process = psutil.Process()
        self._system: dict[str, float] = {}
        self._look_at = 0.0

    def state_dict(self) -> dict[str, Any]:
        """See :class:`~sb3_ext.stateful.Stateful`."""
        pending = {"returns": [*self._returns], "lengths": [*self._lengths]}
        return {**super().state_dict(), "ids": self._trackers.ids, **pending}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """See :class:`~sb3_ext.stateful.Stateful`. Ids are not loaded: trackers read them from the run directory."""
        super().load_state_dict(state)
        self._returns, self._lengths = list(state["returns"]), list(state["lengths"])

    def _on_training_start(self) -> None:
        super()._on_training_start()
        self._process.cpu_percent()  # the first call measures nothing
        self._look_at = time.monotonic() + _LOOK_EVERY_SECONDS
        self._trackers.measures.append(self._measure)

    def _on_episode(self, episode_return: float | None, episode_length: int | None, info: dict[str, Any]) -> None:
        if episode_return is not None and episode_length is not None:
            self._returns.append(episode_return)
            self._lengths.append(episode_length)

    def _measure(self, values: Mapping[str, float]) -> dict[str, float]:
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
        return {**measured, **self._look_at_system()}

    def _look_at_system(self) -> dict[str, float]:
        if time.monotonic() >= self._look_at:
            self._look_at = time.monotonic() + _LOOK_EVERY_SECONDS
            self._system = {
                "system/cpu_percent": self._process.cpu_percent(),
                "system/memory_bytes": self._process.memory_info().rss,
            }
            if self.model.device.type == "cuda":
                self._system["system/gpu_memory_bytes"] = torch.cuda.memory_reserved(self.model.device)
        return self._system
