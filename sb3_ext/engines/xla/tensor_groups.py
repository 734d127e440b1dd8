"""Place the tensors of a torch model in one flat array."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch

from sb3_ext.engines.coverage import NotCovered
from sb3_ext.engines.xla.device_array import FloatArray, make_float_array

Parameters = Sequence[Any]
"""JAX arrays in the order of the tensors of a :class:`TensorGroup`."""

_ALIGNMENT = 16  # numbers: matrix products of aligned rows are faster


class TensorGroup:
    """
    Tensors that a program takes and returns as one flat array.

    By :meth:`attach`, they become views of the array; they stay the tensors of the model. The gaps between them are
    zeros.

    :param tensors: tensors of floats on one device; repeated tensors count once
    :raises NotCovered: if they are on several devices or of another type
    """

    def __init__(self, tensors: Iterable[torch.Tensor]) -> None:
        self.tensors = list({id(tensor): tensor for tensor in tensors}.values())
        for tensor in self.tensors:
            if tensor.device != self.tensors[0].device:
                raise NotCovered("the model is on several devices")
            if tensor.dtype != torch.float32:
                raise NotCovered(f"the model has weights of type {tensor.dtype}")
        self._places = {id(tensor): place for place, tensor in enumerate(self.tensors)}
        self._shapes = [tuple(tensor.shape) for tensor in self.tensors]
        self._sizes = [tensor.numel() for tensor in self.tensors]
        self._lengths = [-(-size // _ALIGNMENT) * _ALIGNMENT for size in self._sizes]
        self.values = self.make_array()
        self._views = self.split(self.values)
        self._addresses = [view.data_ptr() for view in self._views]
        self.attach()

    def make_array(self) -> FloatArray:
        """:return: zeros for tensors of the same shapes, on the same device"""
        device = self.tensors[0].device if self.tensors else torch.device("cpu")
        return make_float_array((sum(self._lengths),), device)

    def split(self, values: FloatArray) -> list[torch.Tensor]:
        """
        :param values: array from :meth:`make_array`
        :return: views of its parts, in the shapes of the tensors
        """
        parts = torch.split(values.tensor, self._lengths)
        return [part[:size].view(shape) for part, size, shape in zip(parts, self._sizes, self._shapes, strict=True)]

    def attach(self) -> None:
        """Copy the tensors into the array and make them views of it, unless they are."""
        for tensor, view, address in zip(self.tensors, self._views, self._addresses, strict=True):
            if tensor.data_ptr() != address:
                view.copy_(tensor.detach())
                tensor.data = view

    @contextmanager
    def preserving(self) -> Iterator[None]:
        """Restore the tensors at the end of the block."""
        self.attach()
        saved = self.values.tensor.clone()
        try:
            yield
        finally:
            self.values.tensor.copy_(saved)

    def find_place(self, tensor: torch.Tensor) -> int:
        """
        :param tensor: one of the group
        :return: its index in what :meth:`unflatten` returns
        :raises NotCovered: if it is not one of the group
        """
        if id(tensor) not in self._places:
            raise NotCovered("a network has weights that its optimizer does not train")
        return self._places[id(tensor)]

    def unflatten(self, flat: Any) -> list[Any]:
        """
        :param flat: a JAX array of the shape of ``values``
        :return: its parts, in the shapes of the tensors
        """
        parts, start = [], 0
        for shape, size, length in zip(self._shapes, self._sizes, self._lengths, strict=True):
            parts.append(flat[start : start + size].reshape(shape))
            start += length
        return parts

    def flatten(self, parts: Sequence[Any]) -> Any:
        """
        :param parts: JAX arrays in the shapes of the tensors
        :return: a JAX array of the shape of ``values``
        """
        import jax.numpy as jnp

        padded = [
            jnp.pad(part.reshape(-1), (0, length - size))
            for part, size, length in zip(parts, self._sizes, self._lengths, strict=True)
        ]
        return jnp.concatenate(padded)
