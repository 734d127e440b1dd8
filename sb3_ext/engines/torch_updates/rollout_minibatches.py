"""Draw the minibatches of a rollout buffer as SB3 does, in fewer steps."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import groupby
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from sb3_ext.engines.rollout_rows import FIELDS, has_reflected_minibatches, has_stock_minibatches
from sb3_ext.ranks.rank_group import RankGroup
from sb3_ext.ranks.shared_advantages import compute_shared_moments

Tensor = torch.Tensor

_NUMBERS = frozenset({"values", "log_probs", "advantages", "returns"})
_MAX_BYTES = 32 * 2**20  # more are gathered for each minibatch, not for each epoch


@dataclass(frozen=True)
class Minibatch:
    """
    Rows of a rollout buffer.

    :param observations: tensor, or tensors by key
    :param actions: shape (batch, action size)
    :param old_values: shape (batch,)
    :param old_log_prob: shape (batch,)
    :param advantages: shape (batch,)
    :param returns: shape (batch,)
    :param action_masks: shape (batch, actions); ``None`` without masks
    :param advantage_moments: mean and standard deviation of the advantages of all ranks' minibatches, each of shape
        (1,); ``None`` if they are not computed
    """

    observations: Any
    actions: Tensor
    old_values: Tensor
    old_log_prob: Tensor
    advantages: Tensor
    returns: Tensor
    action_masks: Tensor | None = None
    advantage_moments: tuple[Tensor, Tensor] | None = None

    def normalize(self) -> Minibatch:
        """:return: the same with normalised advantages"""
        if self.advantage_moments is None:
            deviation, mean = torch.std_mean(self.advantages)
        else:
            mean, deviation = self.advantage_moments
        normalized = (self.advantages - mean).div_(deviation + 1e-8)
        return replace(self, advantages=normalized, advantage_moments=None)

    def cut(self, start: int, end: int) -> Minibatch:
        """
        :param start: first row
        :param end: row after the last one
        :return: these rows
        """

        def cut(values: Any) -> Any:
            if isinstance(values, dict):
                return {key: part[start:end] for key, part in values.items()}
            return None if values is None else values[start:end]

        return Minibatch(**{name: cut(values) for name, values in vars(self).items()})


class MinibatchReader:
    """
    Read minibatches into memory that is allocated once.

    :param device: device of the minibatches
    """

    def __init__(self, device: torch.device) -> None:
        #: the ranks for which to compute ``advantage_moments``; ``None`` for none
        self.group: RankGroup | None = None
        self._device = device
        self._memory: dict[str, Tensor] = {}

    def draw_epoch(self, buffer: Any, batch_size: int) -> Iterator[Minibatch]:
        """
        Draw the minibatches of one epoch, with the same random numbers as SB3.

        :param buffer: a full rollout buffer
        :param batch_size: rows of a minibatch
        :return: the minibatches; each is valid until the next one is drawn
        """
        is_reflected = has_reflected_minibatches(buffer)
        if not is_reflected and not has_stock_minibatches(buffer):
            for sample in buffer.get(batch_size):
                [moments] = self._compute_moments([sample.advantages])
                yield Minibatch(**sample._asdict(), advantage_moments=moments)
            return
        order = np.random.permutation(buffer.buffer_size * buffer.n_envs)
        for batch in self.read_epoch(buffer, order, batch_size):
            yield buffer.reflector.reflect(batch) if is_reflected else batch

    def read_epoch(self, buffer: Any, order: NDArray[Any], batch_size: int) -> Iterator[Minibatch]:
        """
        :param buffer: a rollout buffer
        :param order: indices of rows as in SB3, which counts by environment
        :param batch_size: rows of a minibatch
        :return: the minibatches; each is valid until the next one is read
        """
        if not buffer.generator_ready:  # rows are still ordered by time, but indices count by environment
            order = order % buffer.buffer_size * buffer.n_envs + order // buffer.buffer_size
        indices = torch.from_numpy(order)
        rows = {field: _read(buffer, name) for name, field in FIELDS.items() if hasattr(buffer, name)}
        observations = self._gather_observations("observations", rows.pop("observations"), indices, batch_size)
        columns = {
            field: torch.split(self._gather(field, values, indices), batch_size) for field, values in rows.items()
        }
        moments = self._compute_moments(columns["advantages"])
        for place, part in enumerate(observations):
            row = {field: values[place] for field, values in columns.items()}
            yield Minibatch(part, **row, advantage_moments=moments[place])

    def _compute_moments(self, advantages: Sequence[Tensor]) -> list[tuple[Tensor, Tensor] | None]:
        """:return: moments of the minibatches of all ranks, in one message for those of the same size"""
        if self.group is None:
            return [None] * len(advantages)
        found: list[tuple[Tensor, Tensor] | None] = []
        for _size, same in groupby(advantages, len):
            means, deviations = compute_shared_moments(self.group, torch.stack(list(same)))
            found += zip(means, deviations, strict=True)
        return found

    def _gather_observations(self, name: str, source: Any, indices: Tensor, batch_size: int) -> Iterator[Any]:
        if isinstance(source, dict):
            parts = [self._gather_observations(f"{name}/{key}", source[key], indices, batch_size) for key in source]
            for found in zip(*parts, strict=True):
                yield dict(zip(source, found, strict=True))
        elif source.nbytes <= _MAX_BYTES:
            yield from torch.split(self._gather(name, source, indices), batch_size)
        else:
            for part in torch.split(indices, batch_size):
                yield self._gather(name, source, part)

    def _gather(self, name: str, source: Tensor, indices: Tensor) -> Tensor:
        memory = self._memory.get(name)
        if memory is None or memory.shape[1:] != source.shape[1:] or len(memory) < len(indices):
            memory = self._memory[name] = source.new_empty((len(indices), *source.shape[1:]))
        found = torch.index_select(source, 0, indices, out=memory[: len(indices)])
        return found.to(self._device)


def _read(buffer: Any, name: str) -> Any:
    """:return: all rows of an array of the buffer, or of several by key, without a copy"""
    values = getattr(buffer, name)
    if isinstance(values, dict):
        return {key: _flatten(buffer, part) for key, part in values.items()}
    rows = _flatten(buffer, values)
    return rows.flatten() if name in _NUMBERS else rows


def _flatten(buffer: Any, values: NDArray[Any]) -> Tensor:
    dimensions = 1 if buffer.generator_ready else 2
    return torch.from_numpy(values.reshape(buffer.buffer_size * buffer.n_envs, *values.shape[dimensions:]))
