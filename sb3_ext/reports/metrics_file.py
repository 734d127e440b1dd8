"""All metrics of a training run, column by column, and the JSON file they end up in."""

from __future__ import annotations

import math
from array import array
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from sb3_ext.atomic import write_json

# SB3 averages over as many episodes in its own logs.
_WINDOW_EPISODES = 100


class MetricsHistory:
    """
    Every finished episode, and every value logged about training, in columns of eight bytes a number.

    A missing value is NaN in a column and ``null`` in JSON.
    """

    def __init__(self) -> None:
        self._episodes = {name: array("d") for name in ("step", "return", "length", "elapsed_seconds")}
        self._training = {name: array("d") for name in ("step", "elapsed_seconds")}

    def add_episode(
        self, step: int, episode_return: float | None, episode_length: int | None, elapsed_seconds: float
    ) -> None:
        """
        Add a finished episode.

        :param step: environment transitions so far
        :param episode_return: the sum of its rewards, ``None`` if unknown
        :param episode_length: its number of steps, ``None`` if unknown
        :param elapsed_seconds: how long training has lasted
        """
        self._episodes["step"].append(step)
        self._episodes["return"].append(math.nan if episode_return is None else episode_return)
        self._episodes["length"].append(math.nan if episode_length is None else episode_length)
        self._episodes["elapsed_seconds"].append(elapsed_seconds)

    def add_training(self, step: int, elapsed_seconds: float, values: Mapping[str, Any]) -> None:
        """
        Add what was logged at one moment. A name seen for the first time is missing at all moments before.

        :param step: environment transitions so far
        :param elapsed_seconds: how long training has lasted
        :param values: by name, ``train/loss`` say; anything but single numbers is left out
        """
        rows = len(self._training["step"])
        numbers = {name: number for name, value in values.items() if (number := _read_number(value)) is not None}
        numbers["step"] = step
        numbers["elapsed_seconds"] = elapsed_seconds
        for name in numbers:
            if name not in self._training:
                self._training[name] = array("d", [math.nan]) * rows
        for name, column in self._training.items():
            column.append(numbers.get(name, math.nan))

    def summarize(self) -> dict[str, Any]:
        """
        Summarize a training in a few numbers.

        :return: number of episodes, mean return of the last 100, and the best mean of any 100 in a row (of all
            episodes, as long as they are fewer)
        """
        returns = np.frombuffer(self._episodes["return"]) if self._episodes["return"] else np.empty(0)
        returns = returns[~np.isnan(returns)]
        means: list[float] | np.ndarray[Any, Any] = []
        if len(returns):
            window = min(_WINDOW_EPISODES, len(returns))
            sums = np.cumsum(np.concatenate([[0.0], returns]))
            means = (sums[window:] - sums[:-window]) / window
        return {
            "episode": len(self._episodes["step"]),
            "episode_return_mean": float(means[-1]) if len(means) else None,
            "best_episode_return_mean": float(max(means)) if len(means) else None,
        }

    def to_dict(self) -> dict[str, Any]:
        """
        Give everything as plain values.

        :return: the sections ``episodes`` and ``training``, a list a column, ``None`` where a value is missing
        """
        return {
            "episodes": {name: _to_list(column) for name, column in self._episodes.items()},
            "training": {name: _to_list(column) for name, column in self._training.items()},
        }

    def state_dict(self) -> dict[str, Any]:
        """
        See :class:`~sb3_ext.stateful.Stateful`.

        :return: the columns, shape (rows,), by ``episodes/step``, ``training/train/loss`` and so on; NaN where a value
            is missing
        """
        sections = (("episodes", self._episodes), ("training", self._training))
        return {
            f"{section}/{name}": np.array(column) for section, columns in sections for name, column in columns.items()
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """See :class:`~sb3_ext.stateful.Stateful`."""
        empty = MetricsHistory()
        self._episodes, self._training = empty._episodes, empty._training
        for key, values in state.items():
            section, _, name = key.partition("/")
            columns = self._episodes if section == "episodes" else self._training
            columns[name] = array("d", values.tobytes())


def write_metrics(path: Path, history: MetricsHistory, sections: Mapping[str, Any]) -> None:
    """
    Write ``metrics.json``: whole or not at all, and strict JSON.

    :param path: the file
    :param history: its sections ``episodes`` and ``training``
    :param sections: further ones by name, ``summary`` first
    """
    write_json(path, {**replace_non_finite(dict(sections)), **history.to_dict()}, durable=False, indent=None)


def replace_non_finite(value: Any) -> Any:
    """
    Make plain data fit for strict JSON.

    :param value: numbers, texts, mappings and lists
    :return: a copy with ``None`` in place of every NaN and infinity
    """
    if isinstance(value, Mapping):
        return {key: replace_non_finite(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [replace_non_finite(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value


def _read_number(value: Any) -> float | None:
    # Scalars of NumPy and torch have an empty shape; so have NumPy strings.
    if getattr(value, "shape", None) == ():
        value = value.item()
    return float(value) if isinstance(value, (int, float)) else None


def _to_list(column: array[float]) -> list[float | None]:
    # Steps and lengths are whole numbers, and shorter as such.
    return [
        (int(value) if value.is_integer() else value) if math.isfinite(value) else None for value in column.tolist()
    ]
