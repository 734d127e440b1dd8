"""Draw several minibatches of a replay buffer at a time."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import torch
from stable_baselines3.common.type_aliases import DictReplayBufferSamples, ReplayBufferSamples

from sb3_ext.engines.replay_sampling import draw_rows, has_stock_samples, read_rows
from sb3_ext.internals.sb3 import sample_replay

_MAX_STEPS = 64
_MAX_BYTES = 16 * 2**20


def draw_minibatches(model: Any, gradient_steps: int, batch_size: int) -> Iterator[list[Any]]:
    """
    Draw minibatches as SB3 does, with the same random numbers.

    :param model: an off-policy model
    :param gradient_steps: number of minibatches
    :param batch_size: rows of each minibatch
    :return: lists of samples, so small that they take little memory
    """
    buffer = model.replay_buffer
    most = max(1, min(_MAX_STEPS, _MAX_BYTES // (batch_size * _count_row_bytes(buffer))))
    for start in range(0, gradient_steps, most):
        count = min(most, gradient_steps - start)
        if has_stock_samples(buffer):
            rows = draw_rows(buffer, count, batch_size)
            yield _split(read_rows(buffer, model.get_vec_normalize_env(), rows), count, model.device)
        else:
            yield [sample_replay(model, batch_size) for _step in range(count)]


def make_placeholders(model: Any) -> list[Any]:
    """
    :param model: an off-policy model
    :return: samples of zeros, as many as in a list of :func:`draw_minibatches`, but at most 16
    """
    buffer, size = model.replay_buffer, model.batch_size

    def make(array: Any) -> Any:
        if isinstance(array, dict):
            return {key: make(part) for key, part in array.items()}
        kind = torch.from_numpy(array[:0]).dtype
        shape = (size, *array.shape[2:])
        return torch.zeros(shape, dtype=torch.float32 if kind.is_floating_point else kind, device=model.device)

    observations, actions, column = make(buffer.observations), make(buffer.actions), torch.zeros(size, 1)
    kind = DictReplayBufferSamples if isinstance(observations, dict) else ReplayBufferSamples
    column = column.to(model.device)
    sample: Any = kind(observations, actions, observations, column, column, None)
    return [sample] * max(1, min(16, model.gradient_steps))


def join(observations: Sequence[Any]) -> Any:
    """
    :param observations: observations of several minibatches
    :return: one tensor, or one dictionary of tensors, with all rows
    """
    first = observations[0]
    if len(observations) == 1:
        return first
    if isinstance(first, dict):
        return {key: torch.cat([part[key] for part in observations]) for key in first}
    return torch.cat(list(observations))


def _split(rows: dict[str, Any], count: int, device: torch.device) -> list[Any]:
    """:return: samples, from arrays of shape (count, batch_size, …)"""
    kind = DictReplayBufferSamples if isinstance(rows["observations"], dict) else ReplayBufferSamples
    columns = {name: _unbind(values, count, device) for name, values in rows.items()}
    return [kind(*parts) for parts in zip(*(columns[name] for name in kind._fields[:5]), strict=True)]


def _unbind(values: Any, count: int, device: torch.device) -> list[Any]:
    if isinstance(values, dict):
        parts = {key: _unbind(part, count, device) for key, part in values.items()}
        return [{key: part[place] for key, part in parts.items()} for place in range(count)]
    return list(torch.from_numpy(values).to(device).unbind())


def _count_row_bytes(buffer: Any) -> int:
    observations = buffer.observations
    arrays = observations.values() if isinstance(observations, dict) else [observations]
    return sum(2 * int(array[0, 0].nbytes) for array in arrays) + int(buffer.actions[0, 0].nbytes) + 8
