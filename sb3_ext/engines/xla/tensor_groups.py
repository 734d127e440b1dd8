"""Convert the tensors of a torch model to one flat array, and back."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import torch
from numpy.typing import NDArray

from sb3_ext.engines.coverage import NotCovered
from sb3_ext.engines.xla.jax_runtime import to_torch

Parameters = Sequence[Any]
"""JAX arrays in the order of the tensors of a :class:`TensorGroup`."""


class TensorGroup:
    """
    Tensors that a program takes and returns as one flat array.

    :param tensors: tensors of floats on the CPU; repeated tensors count once
    :raises NotCovered: if one of them is on another device or of another type
    """

    def __init__(self, tensors: Iterable[torch.Tensor]) -> None:
        self.tensors = list({id(tensor): tensor for tensor in tensors}.values())
        self._places = {id(tensor): place for place, tensor in enumerate(self.tensors)}
        self._shapes = [tuple(tensor.shape) for tensor in self.tensors]
        self._sizes = [tensor.numel() for tensor in self.tensors]
        for tensor in self.tensors:
            if tensor.device.type != "cpu":
                raise NotCovered(f"the model is on the device {tensor.device}")
            if tensor.dtype != torch.float32:
                raise NotCovered(f"the model has weights of type {tensor.dtype}")

    @property
    def size(self) -> int:
        """Total number of elements."""
        return sum(self._sizes)

    def find_place(self, tensor: torch.Tensor) -> int:
        """
        :param tensor: one of the group
        :return: its index in what :meth:`unflatten` returns
        :raises NotCovered: if it is not one of the group
        """
        if id(tensor) not in self._places:
            raise NotCovered("a network has weights that its optimizer does not train")
        return self._places[id(tensor)]

    def flatten(self, tensors: Sequence[torch.Tensor] | None = None) -> NDArray[Any]:
        """
        :param tensors: tensors with the shapes of the group; by default those of the group
        :return: a copy of them, shape (size,)
        """
        with torch.no_grad():
            flat = torch.cat([tensor.reshape(-1) for tensor in (self.tensors if tensors is None else tensors)])
        return flat.numpy()

    def unflatten(self, flat: Any) -> list[Any]:
        """
        :param flat: a NumPy or JAX array of shape (size,)
        :return: its parts, in the shapes of the tensors
        """
        parts, start = [], 0
        for shape, size in zip(self._shapes, self._sizes, strict=True):
            parts.append(flat[start : start + size].reshape(shape))
            start += size
        return parts

    def write(self, flat: Any, tensors: Sequence[torch.Tensor] | None = None) -> None:
        """
        Copy a flat array into tensors.

        :param flat: a JAX array of shape (size,)
        :param tensors: tensors with the shapes of the group; by default those of the group
        """
        parts = torch.split(to_torch(flat), self._sizes)
        with torch.no_grad():
            for tensor, part in zip(self.tensors if tensors is None else tensors, parts, strict=True):
                tensor.copy_(part.view(tensor.shape))
