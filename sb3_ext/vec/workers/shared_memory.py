"""Arrays in memory that the training process and its workers share."""

from __future__ import annotations

import mmap
import os
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from gymnasium import spaces
from stable_baselines3.common.vec_env.util import obs_space_info

from sb3_ext.errors import ConfigError

_ALIGNMENT_BYTES = 64  # a cache line


@dataclass(frozen=True)
class ArraySpec:
    """
    :param shape: the first axis is the environment
    :param dtype: of plain numbers
    """

    shape: tuple[int, ...]
    dtype: np.dtype[Any]


class SharedBlock:
    """
    Arrays in one anonymous block of memory. Other processes receive its file descriptor; the block is freed when the
    last process ends, however it ends.

    :param specs: of the arrays
    :param descriptor: of a block that another process made with the same ``specs``; ``None`` makes a new one, with
        zeros
    :ivar arrays: as in ``specs``
    """

    def __init__(self, specs: Sequence[ArraySpec], descriptor: int | None = None) -> None:
        offsets = [0]
        for spec in specs:
            size = int(np.prod(spec.shape)) * spec.dtype.itemsize
            offsets.append(-(-(offsets[-1] + size) // _ALIGNMENT_BYTES) * _ALIGNMENT_BYTES)
        size = max(offsets[-1], _ALIGNMENT_BYTES)
        self._file = os.fdopen(_make_file(size) if descriptor is None else descriptor, "r+b", buffering=0)
        memory = mmap.mmap(self._file.fileno(), size)
        self.arrays = [
            np.ndarray(spec.shape, spec.dtype, memory, offset) for spec, offset in zip(specs, offsets, strict=False)
        ]

    def fileno(self) -> int:
        """
        :return: the file descriptor
        """
        return self._file.fileno()

    def close(self) -> None:
        """Close the file descriptor; the arrays stay usable."""
        self._file.close()


@dataclass(frozen=True)
class StepArrays:
    """
    Inputs and results of a step, for some of the environments.

    :param actions: ``None`` if actions are not arrays of plain numbers
    :param rewards: float32, as in SB3
    :param dones: whether an episode has ended
    :param observations: one for each part of a Dict or Tuple space
    """

    actions: np.ndarray | None
    rewards: np.ndarray
    dones: np.ndarray
    observations: list[np.ndarray]

    @classmethod
    def view(cls, block: SharedBlock, has_actions: bool, first: int, last: int) -> StepArrays:
        """
        :param block: with the arrays of :func:`list_step_specs`
        :param has_actions: whether actions are the first of them
        :param first: first environment
        :param last: one past the last environment
        :return: views
        """
        arrays = [array[first:last] for array in block.arrays]
        actions = arrays.pop(0) if has_actions else None
        return cls(actions, arrays[0], arrays[1], arrays[2:])


def list_step_specs(
    num_envs: int, observation_space: spaces.Space[Any], action_space: spaces.Space[Any]
) -> list[ArraySpec]:
    """
    :param num_envs: environments in all
    :param observation_space: of one environment
    :param action_space: of one environment
    :return: the arrays of :class:`StepArrays`, in its order
    :raises ConfigError: if observations are not made of plain numbers
    """
    keys, shapes, dtypes = obs_space_info(observation_space)
    specs = [ArraySpec((num_envs,), np.dtype(np.float32)), ArraySpec((num_envs,), np.dtype(bool))]
    if has_shared_actions(action_space):
        specs.insert(0, ArraySpec((num_envs, *(action_space.shape or ())), np.dtype(action_space.dtype)))
    for key in keys:
        dtype = np.dtype(dtypes[key] or object)
        if shapes[key] is None or dtype.kind not in "biufc":
            place = "" if key is None else f"{key!r} of "
            raise ConfigError(f"{place}{observation_space} is not made of plain numbers, which workers share")
        specs.append(ArraySpec((num_envs, *shapes[key]), dtype))
    return specs


def has_shared_actions(action_space: spaces.Space[Any]) -> bool:
    """
    :param action_space: of one environment
    :return: whether its actions are arrays of plain numbers; others are sent as they are
    """
    return action_space.shape is not None and np.dtype(action_space.dtype or object).kind in "biufc"


def _make_file(size: int) -> int:
    if hasattr(os, "memfd_create"):
        descriptor = os.memfd_create("sb3_ext")
    else:
        with tempfile.TemporaryFile() as file:
            descriptor = os.dup(file.fileno())
    os.ftruncate(descriptor, size)
    return descriptor
