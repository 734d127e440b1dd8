"""The rows of a rollout buffer, and the order in which SB3 learns from them."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from itertools import islice
from typing import Any

import numpy as np
import torch

from sb3_ext.engines.rollout_rows import FIELDS, has_stock_minibatches
from sb3_ext.engines.xla.preprocessing import narrow
from sb3_ext.engines.xla.replays import list_arrays, map_arrays
from sb3_ext.engines.xla.shared_array import SharedArray


class RolloutEpochs:
    """
    The data of several epochs, in memory that is allocated for the first ones.

    :param buffer: a rollout buffer, also of a class with other samples than the stock ones
    """

    def __init__(self, buffer: Any) -> None:
        self.buffer = buffer
        self._rows: dict[str, Any] = {}
        self._orders: SharedArray | None = None
        self._random_states: list[Any] = []

    @property
    def arrays(self) -> tuple[dict[str, Any], Any]:
        """
        Arguments of a program: observations, actions and so on by the names of SB3's samples, and the rows in the order
        in which each epoch learns from them, shape (epochs, rows of an epoch).
        """
        assert self._orders is not None, "epochs are drawn"
        return map_arrays(lambda rows: rows.array, self._rows), self._orders.array

    def draw(self, count: int, *, can_rewind: bool) -> None:
        """
        Draw minibatches as SB3 does, with the same random numbers.

        :param count: number of epochs
        :param can_rewind: whether :meth:`rewind` may be called after it
        """
        buffer = self.buffer
        total = buffer.buffer_size * buffer.n_envs
        is_stock = has_stock_minibatches(buffer)
        orders = self._make_orders(count, total)
        self._random_states.clear()
        samples = []
        for epoch in range(count):
            if can_rewind:
                self._random_states.append(np.random.get_state())
            if is_stock:
                orders[epoch] = np.random.permutation(total)
            else:
                samples.append(next(buffer.get(None))._asdict())
                orders[epoch] = np.arange(epoch * total, (epoch + 1) * total)
        if is_stock:
            self._write_rows()
        else:
            self._write(_join(samples))

    def take(self, count: int) -> None:
        """
        Take rows of the buffer, which may be empty, in their order.

        :param count: number of epochs
        """
        total = self.buffer.buffer_size * self.buffer.n_envs
        self._make_orders(count, total)[...] = np.arange(total)
        self._write_rows()

    def rewind(self, epoch: int, batch_size: int, minibatches: int) -> None:
        """
        Set NumPy's generator to the state in which SB3's loop leaves it after an early end.

        :param epoch: index of the last epoch that was begun
        :param batch_size: rows of a minibatch
        :param minibatches: number of minibatches of that epoch that were drawn
        """
        np.random.set_state(self._random_states[epoch])
        for _minibatch in islice(self.buffer.get(batch_size), minibatches):
            pass

    def _make_orders(self, count: int, total: int) -> Any:
        if self._orders is None or self._orders.numpy.shape != (count, total):
            self._orders = SharedArray((count, total), np.int32)
        return self._orders.numpy

    def _write_rows(self) -> None:
        """Write all rows of a buffer of a stock class, or of a class derived from it, ordered by environment."""
        buffer = self.buffer
        rows = {field: getattr(buffer, name) for name, field in FIELDS.items() if hasattr(buffer, name)}
        if not buffer.generator_ready:  # by step and environment
            rows = map_arrays(lambda values: values.swapaxes(0, 1), rows)
        self._write(rows, num_axes=1 if buffer.generator_ready else 2)

    def _write(self, rows: dict[str, Any], num_axes: int = 1) -> None:
        """Copy rows into the memory; their first axes, whose number is given, become one."""
        for name, values in rows.items():
            found = list_arrays(values)
            if name not in self._rows or list_arrays(self._rows[name])[0].numpy.size != found[0].size:
                is_column = name in ("old_values", "old_log_prob", "advantages", "returns")
                make = partial(_make_rows, num_axes=num_axes, is_column=is_column)
                self._rows[name] = map_arrays(make, values)
            for memory, part in zip(list_arrays(self._rows[name]), found, strict=True):
                memory.numpy.reshape(part.shape)[...] = part


def _make_rows(values: Any, num_axes: int, is_column: bool) -> SharedArray:
    total = int(np.prod(values.shape[:num_axes]))
    return SharedArray((total,) if is_column else (total, *values.shape[num_axes:]), narrow(values.dtype))


def _join(samples: Sequence[Any]) -> Any:
    first = samples[0]
    if isinstance(first, dict):
        return {key: _join([sample[key] for sample in samples]) for key in first if first[key] is not None}
    return torch.cat(list(samples)).cpu().numpy()
