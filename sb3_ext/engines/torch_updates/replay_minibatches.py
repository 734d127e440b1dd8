"""Draw several minibatches of a replay buffer at a time."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import torch
from stable_baselines3.common.type_aliases import DictReplayBufferSamples, ReplayBufferSamples

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
    samples: list[Any] = []
    size = 0
    for _step in range(gradient_steps):
        sample = sample_replay(model, batch_size)
        samples.append(sample)
        size += _count_bytes(sample.observations)
        if len(samples) == _MAX_STEPS or size > _MAX_BYTES:
            yield samples
            samples, size = [], 0
    if samples:
        yield samples


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


def _count_bytes(observations: Any) -> int:
    parts = observations.values() if isinstance(observations, dict) else [observations]
    return sum(int(part.nbytes) for part in parts)
