"""Rows of a replay buffer for a checkpoint: copied at once, or read from the buffer during training."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Protocol

import numpy as np
from stable_baselines3.common.buffers import ReplayBuffer

from sb3_ext.checkpoints.formats.arrays import Array
from sb3_ext.errors import CheckpointError


class Rows(Protocol):
    """Rows of a replay buffer as they were when they were captured."""

    def read(self, first: int, stop: int) -> dict[str, Array]:
        """
        :param first: the first row wanted, counted from the first ever written
        :param stop: the row after the last one wanted
        :return: the rows, shape ``(rows, num_envs, …)``, by the name of the buffer's array
        :raises CheckpointError: if they were overwritten
        """
        ...


class CopiedRows:
    """
    Copied rows, which training may overwrite.

    :param rings: the buffer's arrays by name
    :param first: the first row, counted from the first ever written
    :param stop: the row after the last one
    """

    def __init__(self, rings: Mapping[str, Array], first: int, stop: int) -> None:
        self._first = first
        self._rows = {name: read_ring(ring, first, stop) for name, ring in rings.items()}

    def read(self, first: int, stop: int) -> dict[str, Array]:
        """See :meth:`Rows.read`."""
        return {name: rows[first - self._first : stop - self._first] for name, rows in self._rows.items()}


class LiveRows:
    """
    Rows that training does not overwrite soon and that need no copy. Reading raises an error if they were overwritten.

    :param rings: the buffer's arrays by name
    :param first: the first row, counted from the first ever written
    :param stop: the row after the last one
    :param buffer: the buffer
    :param read_step: reads the model's ``num_timesteps``
    """

    def __init__(
        self, rings: Mapping[str, Array], first: int, stop: int, buffer: ReplayBuffer, read_step: Callable[[], int]
    ) -> None:
        self._rings = rings
        self._stop = stop
        self._free_rows = buffer.buffer_size - (stop - first)
        self._buffer = buffer
        self._read_step = read_step
        self._step = read_step()
        # SB3 ends the last trajectory, in its last row, at the next call of learn().
        self._last = {name: read_ring(ring, stop - 1, stop) for name, ring in rings.items()} if stop > first else {}

    def read(self, first: int, stop: int) -> dict[str, Array]:
        """See :meth:`Rows.read`."""
        rows = {name: read_ring(ring, first, stop) for name, ring in self._rings.items()}
        if stop == self._stop:
            for name, last in self._last.items():
                rows[name][-1:] = last
        if self._is_overtaken():
            raise CheckpointError("training overwrote the replay buffer's rows before they were on the disk")
        return rows

    def _is_overtaken(self) -> bool:
        moved_rows = (self._buffer.pos - self._stop) % self._buffer.buffer_size
        # One row more: SB3 counts a step before it adds the row, and may write an observation one row ahead.
        added_rows = (self._read_step() - self._step) // self._buffer.n_envs + 1
        return moved_rows > added_rows or added_rows >= self._free_rows


def read_ring(ring: Array, first: int, stop: int) -> Array:
    """
    :param ring: an array of rows
    :param first: the first row wanted, counted from the first ever written
    :param stop: the row after the last one wanted; at most the ring's length after ``first``
    :return: a copy of the rows, in the order written
    """
    start, end = first % len(ring), first % len(ring) + stop - first
    if end <= len(ring):
        return ring[start:end].copy()
    return np.concatenate([ring[start:], ring[: end - len(ring)]])


def write_ring(ring: Array, first: int, rows: Array) -> None:
    """
    :param ring: an array of rows
    :param first: index of the first of ``rows``, counted from the first ever written
    :param rows: rows to write, at most as many as the ring has
    """
    start = first % len(ring)
    fitting = len(ring) - start
    ring[start : start + len(rows)] = rows[:fitting]
    ring[: max(0, len(rows) - fitting)] = rows[fitting:]
