"""What an exact resume needs beside weights, optimizer, normalisation statistics and replay buffer: as plain data."""

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
    One moment of a training, shared with nothing that goes on changing.

    :param arrays: by flat names with slashes
    :param values: strict JSON
    :param blobs: opaque, by flat names with slashes; reading one runs code, so only ever in a run of one's own
    """

    arrays: dict[str, Array] = field(default_factory=dict)
    values: dict[str, Any] = field(default_factory=dict)
    blobs: dict[str, bytes] = field(default_factory=dict)

    @property
    def exactness(self) -> Exactness:
        """Whether a resume from here continues bit for bit, and why."""
        return Exactness(**self.values["environment"])

    def put_array(self, name: str, array: Array) -> None:
        """
        Copy an array in, with the order of its axes in memory: convolutions over a transposed image round differently.

        :param name: its name in ``arrays``
        :param array: any numbers
        """
        order = sorted(range(array.ndim), key=lambda axis: (-abs(array.strides[axis]), array.shape[axis] == 1))
        self.arrays[name] = np.array(array.transpose(order), order="C")
        if order != sorted(order):
            self.values.setdefault(_LAYOUTS, {})[name] = order

    def get_array(self, name: str) -> Array:
        """
        :param name: of an array that was put in
        :return: a copy, with the same order of axes in memory
        """
        order = self.values.get(_LAYOUTS, {}).get(name)
        array = self.arrays[name].copy()
        return array if order is None else array.transpose(np.argsort(order))

    def put_arrays(self, name: str, arrays: Array | Mapping[str, Array]) -> None:
        """
        :param name: the name of the array, or what the names of all begin with
        :param arrays: one array, or several by name, as observations are
        """
        if isinstance(arrays, Mapping):
            for key, array in arrays.items():
                self.put_array(f"{name}/{key}", array)
        else:
            self.put_array(name, arrays)

    def get_arrays(self, name: str) -> Array | dict[str, Array] | None:
        """
        :param name: as for :meth:`put_arrays`
        :return: what was put in, ``None`` if nothing was
        """
        if name in self.arrays:
            return self.get_array(name)
        keys = [key for key in self.arrays if key.startswith(f"{name}/")]
        return {key.removeprefix(f"{name}/"): self.get_array(key) for key in keys} or None
