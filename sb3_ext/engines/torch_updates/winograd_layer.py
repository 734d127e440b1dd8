"""
Convolutions with less than half of the multiplications, by Winograd's short algorithms.

A tile of m x m outputs of a kernel with r x r taps takes (m + r - 1)^2 products instead of (m r)^2: of transformed
inputs and transformed weights; the outputs are sums of these. See Lavin and Gray 2016, arXiv:1509.09308. The products
for all tiles, rows and channels are matrix products, and so are the three transforms. The gradients are the transposed
computations. A kernel of r s x r s pixels with a stride of s has r x r taps, if the pixels of each block of s x s are
taken for channels.
"""

from __future__ import annotations

import itertools
import math
from functools import cache
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from sb3_ext.engines.torch_updates.convolution_layers import ConvolutionLayer

Tensor = torch.Tensor

_ROOT = math.sqrt(0.5)
# By number of taps: outputs of a tile, and points of its polynomials besides infinity. Rounding errors depend on the
# points; with these they are about those of torch's convolution.
_TILES = {2: (3, (0.0, 1.0, -1.0)), 3: (4, (0.0, _ROOT, -_ROOT, 2 * _ROOT, -2 * _ROOT))}
_LEAST_CHANNELS = 64  # with fewer, the transforms take longer than what they save
_PART_BYTES = 2**22  # of tiles at a time, which stay in the caches of the processor


class Transforms(NamedTuple):
    """
    The linear maps of a tile: its outputs are ``outputs @ ((weights @ taps) * (inputs @ pixels))``.

    :param inputs: shape (products, inputs)
    :param weights: shape (products, taps)
    :param outputs: shape (outputs, products)
    """

    inputs: Tensor
    weights: Tensor
    outputs: Tensor


class WinogradLayer(ConvolutionLayer):
    """
    A convolution by Winograd's algorithm on a CPU if its outputs are whole tiles, otherwise by torch's.

    In memory, its outputs have the order (height, width, rows, channels). It computes inputs in any order, fastest with
    the channels of a pixel side by side.

    :param module: a convolution for which :func:`is_worth_tiles` is true
    """

    def __init__(self, module: nn.Conv2d) -> None:
        super().__init__(module)
        self._stride = module.stride[0]
        self._taps = module.kernel_size[0] // self._stride
        self._size = _TILES[self._taps][0]
        self._transforms = make_transforms(self._taps)
        self._products = len(self._transforms.inputs)
        self._block_size = module.in_channels * self._stride**2

    def forward(self, inputs: Tensor) -> Tensor:
        """See :meth:`Differentiable.forward`."""
        tiles = self._count_tiles(inputs)
        self._has_tiles = tiles is not None
        if tiles is None:
            return super().forward(inputs)
        self._inputs = inputs
        to_inputs, to_weights, to_outputs = self._transforms
        weights = to_weights.mm(self._view_taps(self._weight.detach()).reshape(self._taps**2, -1))
        self._tile_weights = weights.view(self._products, -1, len(self._weight))
        self._part_size = max(1, _PART_BYTES // (4 * self._products * tiles[0] * tiles[1] * self._block_size))
        shape = (tiles[0] * self._size, tiles[1] * self._size, len(inputs), len(self._weight))
        outputs = weights.new_empty(shape)
        self._tile_inputs = []
        for part, places in zip(
            torch.split(inputs, self._part_size), torch.split(outputs, self._part_size, 2), strict=True
        ):
            cut = self._view_input_tiles(part).reshape(self._products, -1)
            self._tile_inputs.append(to_inputs.mm(cut).view(self._products, -1, self._block_size))
            products = torch.bmm(self._tile_inputs[-1], self._tile_weights)
            self._write_outputs(to_outputs.mm(products.view(self._products, -1)), self._view_output_tiles(places))
        return outputs.permute(2, 3, 0, 1)

    def backward(self, slopes: Tensor, *, to_weights: bool = True, to_inputs: bool = False) -> Tensor | None:
        """See :meth:`Differentiable.backward`."""
        if not self._has_tiles:
            return super().backward(slopes, to_weights=to_weights, to_inputs=to_inputs)
        weight, bias = self._weight, self._bias
        from_inputs, from_weights, from_outputs = (matrix.t() for matrix in self._transforms)
        ordered = slopes.permute(2, 3, 0, 1)
        gradient = torch.zeros_like(self._inputs) if to_inputs else None
        to_tile_weights = torch.zeros_like(self._tile_weights)
        for place, part in enumerate(torch.split(ordered, self._part_size, 2)):
            cut = self._view_output_tiles(part).reshape(self._size**2, -1)
            products = from_outputs.mm(cut).view(self._products, -1, len(weight))
            if to_weights:
                to_tile_weights.baddbmm_(self._tile_inputs[place].transpose(1, 2), products)
            if gradient is not None:
                found = torch.bmm(products, self._tile_weights.transpose(1, 2))
                start = place * self._part_size
                self._add_inputs(
                    from_inputs.mm(found.view(self._products, -1)), gradient[start : start + self._part_size]
                )
        if to_weights:
            assert weight.grad is not None, "the step of the optimizer has begun"
            taps = self._view_taps(weight.grad)
            taps.copy_(from_weights.mm(to_tile_weights.view(self._products, -1)).view(taps.shape))
            if bias is not None:
                torch.sum(ordered.reshape(-1, len(weight)), 0, out=bias.grad)
        return gradient

    def _count_tiles(self, inputs: Tensor) -> tuple[int, int] | None:
        """:return: numbers of tiles below and beside each other; ``None`` if the outputs are not whole tiles"""
        kernel = self._taps * self._stride
        down, across = (((length - kernel) // self._stride + 1) / self._size for length in inputs.shape[2:])
        is_whole = min(down, across) >= 1 and down.is_integer() and across.is_integer()
        return (int(down), int(across)) if is_whole and inputs.device.type == "cpu" else None

    def _view_input_tiles(self, inputs: Tensor) -> Tensor:
        """:return: the inputs of all tiles: rows and columns of blocks, tiles down and across, rows, block"""
        length, step = (self._size + self._taps - 1) * self._stride, self._size * self._stride
        # To (rows, channels, tiles down, across, blocks down, pixels down, blocks across, pixels across).
        tiles = inputs.unfold(2, length, step).unfold(3, length, step)
        tiles = _split(_split(tiles, 4, self._stride), 6, self._stride)
        return tiles.permute(4, 6, 2, 3, 0, 5, 7, 1)

    def _view_output_tiles(self, outputs: Tensor) -> Tensor:
        """:return: outputs in the order: rows and columns of a tile, tiles down and across, rows, channels"""
        tiles = _split(_split(outputs, 0, self._size), 2, self._size)
        return tiles.permute(1, 3, 0, 2, 4, 5)

    def _view_taps(self, weight: Tensor) -> Tensor:
        """:return: weights in the order: rows and columns of taps, block, outputs"""
        taps = _split(_split(weight, 2, self._stride), 4, self._stride)
        return taps.permute(2, 4, 3, 5, 1, 0)

    def _write_outputs(self, found: Tensor, places: Tensor) -> None:
        if self._bias is None:
            places.copy_(found.view(places.shape))
        else:
            torch.add(found.view(places.shape), self._bias, out=places)

    def _add_inputs(self, found: Tensor, gradient: Tensor) -> None:
        """Add the gradients with respect to the inputs of tiles, which overlap."""
        places = self._view_input_tiles(gradient)
        parts = found.view(places.shape)
        for row, column in itertools.product(*map(range, places.shape[2:4])):
            places[:, :, row, column].add_(parts[:, :, row, column])


def is_worth_tiles(module: nn.Conv2d) -> bool:
    """
    :param module: a convolution
    :return: whether :class:`WinogradLayer` can compute it, and is faster than torch if there are whole tiles
    """
    (height, width), (down, across) = module.kernel_size, module.stride
    is_square = height == width and down == across
    is_plain = module.groups == 1 and set(module.dilation) == {1} and set(module.padding) == {0}
    has_precision = module.weight.dtype == torch.float32  # the transforms multiply rounding errors
    has_taps = height % down == 0 and height // down in _TILES
    least = min(module.in_channels * down**2, module.out_channels)
    return is_square and is_plain and has_precision and has_taps and least >= _LEAST_CHANNELS


@cache
def make_transforms(taps: int) -> Transforms:
    """
    Make the linear maps of a tile, after Toom and Cook: multiply two polynomials by their values at some points.

    :param taps: rows and columns of the kernel
    :return: 32-bit matrices
    """
    size, points = _TILES[taps]

    def evaluate(count: int) -> NDArray[np.float64]:
        """:return: values of the powers of x below ``count`` at each point, at infinity those of the last power"""
        return np.vstack([np.vander(points, count, increasing=True), np.eye(count)[-1:]])

    # The outputs are the transposed map of the product.
    inputs = np.linalg.inv(evaluate(size + taps - 1)).T
    scales = np.abs(inputs).max(1, keepdims=True)
    matrices = inputs / scales, evaluate(taps) * scales, evaluate(size).T
    return Transforms(*(torch.from_numpy(np.kron(matrix, matrix)).float() for matrix in matrices))


def _split(values: Tensor, dimension: int, size: int) -> Tensor:
    """:return: a view in which groups of so many numbers along a dimension have a dimension of their own"""
    shape = values.shape
    return values.view(*shape[:dimension], -1, size, *shape[dimension + 1 :])
