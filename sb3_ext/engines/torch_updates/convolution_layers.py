"""Convolutions with gradients."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn
from torch.nn.functional import linear

from sb3_ext.engines.patches import make_window, select_patches
from sb3_ext.engines.torch_updates.differentiable import Differentiable

Tensor = torch.Tensor
aten = torch.ops.aten

_FEW_CHANNELS = 8  # torch copies these faster one by one, with long inner loops, than all at once


class ConvolutionLayer(Differentiable):
    """
    A convolution, which is computed with the channels of a pixel side by side in memory.

    :param module: a convolution
    """

    def __init__(self, module: nn.Conv2d) -> None:
        self._weight, self._bias = module.weight, module.bias
        self._settings: Any = (module.stride, module.padding, module.dilation), module.groups
        #: factor of the inputs, with which the weights are multiplied, since there are fewer of them
        self.input_scale = 1.0

    def forward(self, inputs: Tensor) -> Tensor:
        """See :meth:`Differentiable.forward`."""
        self._inputs = _order_by_pixel(inputs, self._weight.dtype)
        self._ordered = self._weight.detach().contiguous(memory_format=torch.channels_last)
        if self.input_scale != 1.0:
            self._ordered = self._ordered * self.input_scale
        (stride, padding, dilation), groups = self._settings
        return torch.conv2d(self._inputs, self._ordered, self._bias, stride, padding, dilation, groups)

    def backward(self, slopes: Tensor, *, to_weights: bool = True, to_inputs: bool = False) -> Tensor | None:
        """See :meth:`Differentiable.backward`."""
        (stride, padding, dilation), groups = self._settings
        weight, bias = self._weight, self._bias
        found: Tensor | None
        found, to_weight, to_bias = aten.convolution_backward(
            slopes,
            self._inputs,
            self._ordered,
            None if bias is None else [len(weight)],
            stride,
            padding,
            dilation,
            False,
            [0, 0],
            groups,
            [to_inputs, to_weights, to_weights and bias is not None],
        )
        if to_weights:
            assert weight.grad is not None, "the step of the optimizer has begun"
            weight.grad.copy_(to_weight).mul_(self.input_scale)
            if bias is not None and bias.grad is not None:
                bias.grad.copy_(to_bias)
        return found


class PatchLayer(ConvolutionLayer):
    """
    A convolution of boards: a matrix product with the patches under the kernel is faster if the inputs are small.

    :param module: a convolution with one group and without dilation
    """

    def __init__(self, module: nn.Conv2d) -> None:
        super().__init__(module)
        self._window = make_window(module)

    def forward(self, inputs: Tensor) -> Tensor:
        """See :meth:`Differentiable.forward`."""
        self._inputs = inputs
        self._patches, height, width = select_patches(inputs.to(self._weight.dtype), self._window)
        outputs = linear(self._patches, self._weight.flatten(1), self._bias)
        return outputs.view(len(inputs), height, width, -1).permute(0, 3, 1, 2)

    def backward(self, slopes: Tensor, *, to_weights: bool = True, to_inputs: bool = False) -> Tensor | None:
        """See :meth:`Differentiable.backward`."""
        weight, bias = self._weight, self._bias
        if to_weights:
            assert weight.grad is not None, "the step of the optimizer has begun"
            rows = slopes.permute(0, 2, 3, 1).reshape(len(self._patches), -1)
            torch.mm(rows.t(), self._patches, out=weight.grad.flatten(1))
            if bias is not None:
                torch.sum(rows, 0, out=bias.grad)
        if not to_inputs:
            return None
        self._inputs, self._ordered = self._inputs.to(weight.dtype), weight.detach()
        return super().backward(slopes, to_weights=False, to_inputs=True)


def _order_by_pixel(images: Tensor, dtype: torch.dtype) -> Tensor:
    """:return: images of this type with the channels of a pixel side by side in memory"""
    if images.shape[1] > _FEW_CHANNELS or images.is_contiguous(memory_format=torch.channels_last):
        return images.contiguous(memory_format=torch.channels_last).to(dtype)
    ordered = torch.empty(images.shape, dtype=dtype, device=images.device, memory_format=torch.channels_last)
    for place, channel in enumerate(images.unbind(1)):
        ordered[:, place] = channel
    return ordered
