"""Arrays that torch and NumPy write, and that programs on the CPU read without a copy."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from sb3_ext.engines.xla.jax_runtime import get_platform


class SharedArray:
    """
    Memory that is a torch tensor, a NumPy array and the argument of a program at the same time. Programs on a GPU get a
    copy of it.

    Write to it only while no program runs: JAX takes its arrays as constant.

    :param shape: its shape
    :param dtype: type of its numbers, without a 64-bit type
    """

    def __init__(self, shape: tuple[int, ...], dtype: Any = np.float32) -> None:
        self.tensor = torch.from_numpy(np.zeros(shape, dtype)).clone()  # torch aligns its memory as JAX needs it
        self.numpy: NDArray[Any] = self.tensor.numpy()
        # Bytes: some types, such as bool, cannot be exchanged in every version.
        is_shared = get_platform() == "cpu" and self.tensor.dtype != torch.bool
        self._array = _share(self.tensor) if is_shared else None

    @property
    def array(self) -> Any:
        """The argument of a program: a JAX array of this memory, or a copy if JAX cannot share it."""
        return self.numpy.copy() if self._array is None else self._array

    def write(self, array: Any) -> None:
        """
        Copy a result of a program.

        :param array: a JAX array of the same shape
        """
        np.copyto(self.numpy, np.asarray(array))


def _share(tensor: torch.Tensor) -> Any:
    """:return: a JAX array of the memory of a tensor; ``None`` if JAX cannot share it"""
    from jax.dlpack import from_dlpack

    array = from_dlpack(tensor)
    return array if array.unsafe_buffer_pointer() == tensor.data_ptr() else None
