"""Draw several minibatches of a replay buffer at a time."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import torch

from sb3_ext.engines.xla.preprocessing import shrink
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
    rows = list(make_empty_rows(buffer, 1, 1).values())
    row_bytes = sum(array.nbytes for part in rows for array in (part.values() if isinstance(part, dict) else [part]))
    most = max(1, min(_MAX_STEPS, _MAX_BYTES // (batch_size * row_bytes)))
    for start in range(0, gradient_steps, most):
        yield min(most, gradient_steps - start)


def choose_capacity(count: int) -> int:
    """
    :param count: number of gradient steps
    :return: number of gradient steps for which a program is compiled, so that different counts share a program
    """
    return 1 << (count - 1).bit_length()


def draw_minibatches(model: Any, count: int, batch_size: int, capacity: int) -> dict[str, Any]:
    """
    Draw minibatches as SB3 does, with the same random numbers.

    :param model: an off-policy model
    :param count: number of minibatches
    :param batch_size: rows of each minibatch
    :param capacity: length of the returned arrays, which are filled with zeros after ``count``
    :return: observations, actions and so on by the names of SB3's samples, each of shape (capacity, batch_size, …)
    """
    samples = [sample_replay(model, batch_size)._asdict() for _minibatch in range(count)]
    rows: dict[str, Any] = _stack(samples, capacity)
    return rows


def make_empty_rows(buffer: Any, capacity: int, batch_size: int) -> dict[str, Any]:
    """
    :param buffer: the replay buffer
    :param capacity: number of minibatches
    :param batch_size: rows of each minibatch
    :return: arrays of zeros, otherwise as from :func:`draw_minibatches`
    """

    def make(array: Any) -> Any:
        if isinstance(array, dict):
            return {key: make(part) for key, part in array.items()}
        kind = np.float32 if array.dtype.kind == "f" else array.dtype
        return shrink(np.zeros((capacity, batch_size, *array.shape[2:]), kind))

    column = np.zeros((capacity, batch_size, 1), np.float32)
    observations = make(buffer.observations)
    return {
        "observations": observations,
        "actions": make(buffer.actions),
        "next_observations": observations,
        "dones": column,
        "rewards": column,
    }


def _stack(samples: list[Any], capacity: int) -> Any:
    first = samples[0]
    if isinstance(first, dict):
        return {key: _stack([part[key] for part in samples], capacity) for key in first if first[key] is not None}
    stacked = first.new_zeros((capacity, *first.shape))
    torch.stack(samples, out=stacked[: len(samples)])
    return shrink(stacked.numpy())
