"""The rows of a rollout buffer, and the order in which SB3 learns from them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from sb3_ext.engines.rollout_rows import FIELDS, has_stock_minibatches
from sb3_ext.engines.xla.preprocessing import shrink


@dataclass(frozen=True)
class Epochs:
    """
    The data of several epochs.

    :param rows: observations, actions and so on by the names of SB3's samples
    :param orders: rows in the order in which each epoch learns from them, shape (epochs, rows of an epoch)
    :param random_states: state of NumPy's global generator before each epoch was drawn
    """

    rows: dict[str, Any]
    orders: NDArray[np.int32]
    random_states: Sequence[Any]

    def rewind(self, buffer: Any, epoch: int, batch_size: int, minibatches: int) -> None:
        """
        Set NumPy's generator to the state in which SB3's loop leaves it after an early end.

        :param buffer: buffer from which the epochs were drawn
        :param epoch: index of the last epoch that was begun
        :param batch_size: rows of a minibatch
        :param minibatches: number of minibatches of that epoch that were drawn
        """
        np.random.set_state(self.random_states[epoch])
        for _minibatch in islice(buffer.get(batch_size), minibatches):
            pass


def draw_epochs(buffer: Any, count: int) -> Epochs:
    """
    Draw minibatches as SB3 does, with the same random numbers.

    :param buffer: a full rollout buffer, also of a class with other samples than the stock ones
    :param count: number of epochs
    :return: the data of the epochs
    """
    total = buffer.buffer_size * buffer.n_envs
    states, orders, samples = [], [], []
    is_stock = has_stock_minibatches(buffer)
    for _epoch in range(count):
        states.append(np.random.get_state())
        if is_stock:
            orders.append(np.random.permutation(total))
        else:
            samples.append(next(buffer.get(None))._asdict())
            orders.append(np.arange(total) + len(orders) * total)
    rows = read_rows(buffer) if is_stock else _join(samples)
    return Epochs(rows, np.stack(orders).astype(np.int32), states)


def read_rows(buffer: Any) -> dict[str, Any]:
    """
    :param buffer: buffer of a stock class or a class derived from it; it is not changed
    :return: all rows by the names of SB3's samples, ordered by environment
    """
    rows: dict[str, Any] = {}
    for name, field in FIELDS.items():
        values = getattr(buffer, name, None)
        if values is None:
            continue
        if not buffer.generator_ready:
            swap = buffer.swap_and_flatten
            values = {key: swap(part) for key, part in values.items()} if isinstance(values, dict) else swap(values)
        rows[field] = shrink(values)
    for field in ("old_values", "old_log_prob", "advantages", "returns"):
        rows[field] = rows[field].reshape(-1)
    if "action_masks" in rows:
        rows["action_masks"] = rows["action_masks"].reshape(len(rows["actions"]), -1)
    return rows


def _join(samples: Sequence[Any]) -> Any:
    first = samples[0]
    if isinstance(first, dict):
        return {key: _join([sample[key] for sample in samples]) for key in first if first[key] is not None}
    return shrink(torch.cat(list(samples)).numpy())
