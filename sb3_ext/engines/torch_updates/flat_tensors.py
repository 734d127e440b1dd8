"""Place the tensors of a model in one flat array."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import torch

from sb3_ext.engines.coverage import NotCovered

_ALIGNMENT = 16  # numbers; matrix products of aligned rows are faster, and always rounded in the same way


class FlatTensors:
    """
    One array for the tensors of a model, so that an operation on all of them is one call.

    The tensors become views of the array by :meth:`attach`, and stay the tensors of the model. Gaps between them are
    filled with zeros.

    :param tensors: tensors of floats; repeated tensors count once
    :raises NotCovered: if they are on several devices or of another type
    """

    def __init__(self, tensors: Iterable[torch.Tensor]) -> None:
        self.tensors = list({id(tensor): tensor for tensor in tensors}.values())
        for tensor in self.tensors:
            if tensor.dtype != torch.float32:
                raise NotCovered(f"the model has weights of type {tensor.dtype}")
            if tensor.device != self.tensors[0].device:
                raise NotCovered("the model is on several devices")
        self.values = self.make_array(0.0)
        self.views = self.split(self.values)

    def make_array(self, fill: float) -> torch.Tensor:
        """
        :param fill: value of every number
        :return: a flat array for tensors of the same shapes
        """
        size = sum(_align(tensor.numel()) for tensor in self.tensors)
        return torch.full((size,), fill, device=self.tensors[0].device if self.tensors else None)

    def split(self, array: torch.Tensor) -> list[torch.Tensor]:
        """
        :param array: flat array from :meth:`make_array`
        :return: views of its parts, in the shapes of the tensors
        """
        views, start = [], 0
        for tensor in self.tensors:
            views.append(array[start : start + tensor.numel()].view(tensor.shape))
            start += _align(tensor.numel())
        return views

    def attach(self) -> None:
        """Copy the tensors into the array, and make them views of it, unless they are."""
        attach(self.tensors, self.views)


def attach(tensors: Sequence[torch.Tensor], views: Sequence[torch.Tensor]) -> None:
    """
    :param tensors: tensors that become views of a flat array, with their values, unless they are
    :param views: the views
    """
    for tensor, view in zip(tensors, views, strict=True):
        if tensor.data_ptr() != view.data_ptr() and tensor.numel():
            view.copy_(tensor)
            tensor.data = view


def _align(size: int) -> int:
    return -(-size // _ALIGNMENT) * _ALIGNMENT
