"""Draw several minibatches of a replay buffer at a time."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sb3_ext.engines.replay_sampling import draw_rows, has_stock_samples, read_rows
from sb3_ext.engines.xla.preprocessing import narrow
from sb3_ext.engines.xla.shared_array import SharedArray
from sb3_ext.internals.sb3 import sample_replay

_MAX_STEPS = 256
_MAX_BYTES = 64 * 2**20


def split_steps(buffer: Any, gradient_steps: int, batch_size: int) -> Iterator[int]:
    """
    Split the gradient steps of an update so that their minibatches take little memory.

    :param buffer: the replay buffer
    :param gradient_steps: number of gradient steps of the update
    :param batch_size: rows of a minibatch
    :return: number of gradient steps of each call of a program
    """
    most = max(1, min(_MAX_STEPS, _MAX_BYTES // (batch_size * _count_row_bytes(buffer)))) if gradient_steps > 1 else 1
    for start in range(0, gradient_steps, most):
        yield min(most, gradient_steps - start)


def choose_capacity(count: int) -> int:
    """
    :param count: number of gradient steps
    :return: number of gradient steps for which a program is compiled, so that different counts share a program
    """
    return 1 << (count - 1).bit_length()


class ReplayMinibatches:
    """
    Minibatches of a model's replay buffer, in memory that is allocated once.

    :param model: an off-policy model
    :param capacity: largest number of minibatches
    :param batch_size: rows of each minibatch
    """

    def __init__(self, model: Any, capacity: int, batch_size: int) -> None:
        self._model = model
        self._places = np.zeros((capacity, batch_size), np.int64)
        self._rows: dict[str, Any] = {}

    @property
    def arrays(self) -> dict[str, Any]:
        """
        Arguments of a program: observations, actions and so on by the names of SB3's samples, each of shape (capacity,
        batch_size, …).
        """
        arrays: dict[str, Any] = map_arrays(lambda rows: rows.array, self._rows)
        return arrays

    def draw(self, count: int) -> None:
        """
        Draw minibatches as SB3 does, with the same random numbers.

        :param count: number of minibatches
        """
        buffer = self._model.replay_buffer
        if has_stock_samples(buffer):
            self._places[:count] = draw_rows(buffer, count, self._places.shape[1])
            self.take(count)
            return
        for place in range(count):
            samples = sample_replay(self._model, self._places.shape[1])._asdict()
            rows = {name: values for name, values in samples.items() if values is not None}
            self._write(map_arrays(lambda values: values.cpu().numpy()[None], rows), place)

    def take(self, count: int) -> None:
        """
        Copy the rows that were drawn last from the buffer; before :meth:`draw`, its first row, also if it is empty.

        :param count: number of minibatches
        """
        normalize = self._model.get_vec_normalize_env()
        self._write(read_rows(self._model.replay_buffer, normalize, self._places[:count]), 0)

    def _write(self, values: dict[str, Any], start: int) -> None:
        """Copy rows of shape (minibatches, batch_size, …) into the memory, which is allocated for the first ones."""
        for name, part in values.items():
            if name not in self._rows:
                self._rows[name] = map_arrays(self._make_rows, part)
            for rows, found in zip(list_arrays(self._rows[name]), list_arrays(part), strict=True):
                rows.numpy[start : start + len(found)] = found

    def _make_rows(self, values: NDArray[Any]) -> SharedArray:
        return SharedArray((*self._places.shape, *values.shape[2:]), narrow(values.dtype))


def map_arrays(function: Callable[[Any], Any], values: Any) -> Any:
    """
    :param function: function of an array
    :param values: an array, or a dict of arrays
    :return: its results, in the same structure
    """
    if isinstance(values, dict):
        return {key: map_arrays(function, part) for key, part in values.items()}
    return function(values)


def list_arrays(values: Any) -> list[Any]:
    """
    :param values: an array, or a dict of arrays
    :return: the arrays, ordered by key
    """
    if isinstance(values, dict):
        return [array for key in sorted(values) for array in list_arrays(values[key])]
    return [values]


def _count_row_bytes(buffer: Any) -> int:
    arrays = list_arrays(buffer.observations)
    return sum(2 * int(array[0, 0].nbytes) for array in arrays) + int(buffer.actions[0, 0].nbytes) + 8
