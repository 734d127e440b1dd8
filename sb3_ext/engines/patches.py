"""The patches of a board that the kernel of a convolution covers."""

from __future__ import annotations

from functools import cache
from typing import NamedTuple

import numpy as np
import torch
from torch import nn
from torch.nn.functional import pad


class Window(NamedTuple):
    """
    Where a kernel moves; its paddings are zeros.

    :param height: rows of the kernel
    :param width: columns of the kernel
    :param padding: rows above and below, and columns on both sides
    :param stride: rows and columns between two patches
    """

    height: int
    width: int
    padding: tuple[int, int]
    stride: tuple[int, int]


def make_window(module: nn.Conv2d) -> Window:
    """
    :param module: a convolution without dilation, with a padding of numbers
    :return: the window of its kernel
    """
    above, left = (int(size) for size in module.padding)
    return Window(module.kernel_size[0], module.kernel_size[1], (above, left), (module.stride[0], module.stride[1]))


def select_patches(inputs: torch.Tensor, window: Window) -> tuple[torch.Tensor, int, int]:
    """
    Copy the patches, so that a convolution is one product of matrices.

    :param inputs: boards, shape (boards, channels, rows, columns)
    :param window: where the kernel moves
    :return: patches of shape (boards * height * width, channels * size of the kernel), ordered by board, row and
        column; height and width, the numbers of patches below and beside each other
    """
    boards, *shape = inputs.shape
    indices, height, width = _list_patch_cells((shape[0], shape[1], shape[2]), window)
    cells = inputs.reshape(boards, -1)
    if any(window.padding):
        cells = pad(cells, (0, 1))  # the last cell is 0: what is outside of the board
    return cells.index_select(1, indices.to(inputs.device)).view(boards * height * width, -1), height, width


@cache
def _list_patch_cells(shape: tuple[int, int, int], window: Window) -> tuple[torch.Tensor, int, int]:
    """:return: index of every cell of every patch, patch by patch; numbers of rows and columns of patches"""
    channels, rows, cols = shape
    above, left = window.padding
    cells = np.full((channels, rows + 2 * above, cols + 2 * left), channels * rows * cols)
    cells[:, above : above + rows, left : left + cols] = np.arange(channels * rows * cols).reshape(shape)
    patches = np.lib.stride_tricks.sliding_window_view(cells, window[:2], axis=(1, 2))
    patches = patches[:, :: window.stride[0], :: window.stride[1]]
    # From (channels, patch rows, patch columns, height, width).
    ordered = np.ascontiguousarray(patches.transpose(1, 2, 0, 3, 4))
    return torch.from_numpy(ordered.ravel()), ordered.shape[0], ordered.shape[1]
