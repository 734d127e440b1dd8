"""Plain data for an exact resume, besides weights, optimizers, normalisation statistics and replay buffer."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from sb3_ext.checkpoints.formats.arrays import Array
from sb3_ext.vec.snapshots.exactness import Exactness

_LAYOUTS = "layouts"


@dataclass(frozen=True)
class CapturedState:
    """
    The state of a training at one moment; it does not change with training.

    :param arrays: arrays by names, which may contain slashes
    :param values: strict JSON
    :param blobs: pickles by names, which may contain slashes; only read those of trusted runs
    """

    arrays: dict[str, Array] = field(default_factory=dict)
    values: dict[str, Any] = field(default_factory=dict)
    blobs: dict[str, bytes] = field(default_factory=dict)

    @property
    def exactness(self) -> Exactness:
        """Whether a resume from this state is exact, and the reason."""
        return Exactness(**self.values["environment"])

    def put_array(self, name: str, array: Array) -> None:
        """
        Store a copy of an array and its memory layout: convolutions of transposed images round differently.

        :param name: its name in ``arrays``
        :param array: the array
        """
        order = sorted(range(array.ndim), key=lambda axis: (-abs(array.strides[axis]), array.shape[axis] == 1))
        self.arrays[name] = np.array(array.transpose(order), order="C")
        if order != sorted(order):
            self.values.setdefault(_LAYOUTS, {})[name] = order

    def get_array(self, name: str) -> Array:
        """
        :param name: name of a stored array
        :return: a copy with the same memory layout
        """
        order = self.values.get(_LAYOUTS, {}).get(name)
        array = self.arrays[name].copy()
        return array if order is None else array.transpose(np.argsort(order))

    def put_arrays(self, name: str, arrays: Array | Mapping[str, Array]) -> None:
        """
        :param name: name of the array, or prefix of the names of several
        :param arrays: an array, or several by name, as in observations
        """
        if isinstance(arrays, Mapping):
            for key, array in arrays.items():
                self.put_array(f"{name}/{key}", array)
        else:
            self.put_array(name, arrays)

    def get_arrays(self, name: str) -> Array | dict[str, Array] | None:
        """
        :param name: see :meth:`put_arrays`
        :return: the stored arrays; ``None`` if there are none
        """
        if name in self.arrays:
            return self.get_array(name)
        keys = [key for key in self.arrays if key.startswith(f"{name}/")]
        return {key.removeprefix(f"{name}/"): self.get_array(key) for key in keys} or None
