"""``benchmark_metrics.json``: how fast a training went, and what it took."""

from __future__ import annotations

from array import array
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from sb3_ext.atomic import write_json
from sb3_ext.reports.metrics_file import replace_non_finite

PHASES = ("collecting", "updating", "evaluating", "saving")


class SpeedHistory:
    """
    Stretches of training, one after the other: how many steps each has, and how long it took to collect them and to
    learn from them.
    """

    def __init__(self) -> None:
        self._steps = array("d")
        self._seconds = array("d")

    def __len__(self) -> int:
        return len(self._steps)

    def add(self, steps: int, seconds: float) -> None:
        """
        Add a stretch.

        :param steps: environment transitions
        :param seconds: of collecting and updating; one without any is left out
        """
        if seconds > 0:
            self._steps.append(steps)
            self._seconds.append(seconds)

    def find_fps(self, percent: float) -> float | None:
        """
        :param percent: 10, say
        :return: the steps per second that are not exceeded in so many percent of the time; ``None`` without stretches
        """
        if not self._steps:
            return None
        seconds = np.frombuffer(self._seconds)
        fps = np.frombuffer(self._steps) / seconds
        order = np.argsort(fps)
        passed = np.cumsum(seconds[order])
        return float(fps[order][np.searchsorted(passed, passed[-1] * percent / 100)])

    def state_dict(self) -> dict[str, Any]:
        """See :class:`~sb3_ext.stateful.Stateful`: the columns, shape (stretches,)."""
        return {"steps": np.array(self._steps), "seconds": np.array(self._seconds)}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """See :class:`~sb3_ext.stateful.Stateful`."""
        self._steps = array("d", state["steps"].tobytes())
        self._seconds = array("d", state["seconds"].tobytes())


def summarize_speed(
    speed: SpeedHistory, *, steps: int, iterations: int, duration_seconds: float, phase_seconds: Mapping[str, float]
) -> dict[str, Any]:
    """
    Summarize the speed of a training in a few numbers.

    :param speed: its stretches
    :param steps: environment transitions of all of it
    :param iterations: rollouts, each with its update
    :param duration_seconds: of all of it
    :param phase_seconds: time spent in each phase
    :return: ``duration_seconds``, ``steps``, ``iterations``; ``fps``: ``mean``, ``p10`` and ``p90`` over stretches of
        at least a second and an iteration, of the time spent collecting and updating, and ``overall``, of all time;
        ``iteration_seconds``, the mean; ``shares`` of the time, of each phase and ``other``
    """
    training_seconds = phase_seconds.get("collecting", 0.0) + phase_seconds.get("updating", 0.0)
    shares = {name: phase_seconds.get(name, 0.0) / duration_seconds for name in PHASES} if duration_seconds > 0 else {}
    return {
        "duration_seconds": duration_seconds,
        "steps": steps,
        "iterations": iterations,
        "fps": {
            "mean": _divide(steps, training_seconds),
            "p10": speed.find_fps(10),
            "p90": speed.find_fps(90),
            "overall": _divide(steps, duration_seconds),
        },
        "iteration_seconds": _divide(training_seconds, iterations),
        "shares": {**shares, "other": max(0.0, 1.0 - sum(shares.values()))},
    }


def write_benchmark(path: Path, content: Mapping[str, Any]) -> None:
    """
    :param path: the file, replaced in one step
    :param content: plain values; numbers that JSON has not become ``null``
    """
    write_json(path, replace_non_finite(content), durable=False)


def _divide(amount: float, by: float) -> float | None:
    return amount / by if by > 0 else None
