"""Compute torch modules for any number of rows, without calling them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import nn
from torch.nn.functional import linear

from sb3_ext.algorithms.board_networks import BoardCNN
from sb3_ext.engines.patches import make_window, select_patches
from sb3_ext.internals.torch import has_hooks

TensorFunction = Callable[[Any], torch.Tensor]

# Copying larger patches takes longer than torch's convolution.
_MOST_IN_PATCH = 64


def make_network_function(module: nn.Module) -> TensorFunction:
    """
    Make a function that computes a module, for small inputs in a fraction of the time of a call.

    Parameters are read at each call, so the results follow a module that learns. Parts that are not known are called.

    :param module: a torch module in evaluation mode
    :return: function of what ``forward`` takes, with tensors of shape (rows, …); to be called without gradients
    """
    kind = type(module)
    if has_hooks(module):
        return module
    if isinstance(module, nn.Sequential) and kind is nn.Sequential:
        return FunctionChain([make_network_function(part) for part in module])
    if isinstance(module, nn.Linear) and kind is nn.Linear:
        return LinearFunction(module)
    if isinstance(module, nn.Conv2d) and kind is nn.Conv2d and _has_small_patches(module):
        return PatchConvolution(module)
    if isinstance(module, BoardCNN) and kind is BoardCNN:
        return FunctionChain([_pick_board, make_network_function(module.layers)])
    if kind is nn.ReLU:
        return torch.relu
    if kind is nn.Tanh:
        return torch.tanh
    if isinstance(module, nn.Flatten) and kind is nn.Flatten and (module.start_dim, module.end_dim) == (1, -1):
        return _flatten
    return module


def compute_groups(functions: Sequence[TensorFunction], inputs: Any, sizes: Sequence[int]) -> torch.Tensor:
    """
    Compute several networks of the same shape, each for some of the rows, with one call for all of their activations.

    :param functions: functions with the same :func:`describe_function`, which is not ``None``
    :param inputs: rows of all of them, in their order
    :param sizes: number of rows of each
    :return: outputs in the order of the inputs
    """
    first = functions[0]
    if isinstance(first, FunctionChain):
        for parts in zip(*(function.parts for function in functions), strict=True):  # type: ignore[attr-defined]
            inputs = compute_groups(parts, inputs, sizes)
        outputs: torch.Tensor = inputs
        return outputs
    if isinstance(first, LinearFunction):
        return _multiply_groups([function.weights for function in functions], inputs, sizes)  # type: ignore[attr-defined]
    if isinstance(first, PatchConvolution):
        patches, height, width = select_patches(inputs, first.window)
        weights = [function.weights for function in functions]  # type: ignore[attr-defined]
        products = _multiply_groups(weights, patches, [height * width * size for size in sizes])
        return _order_by_channel(products, len(inputs), height, width)
    return first(inputs)


def describe_function(function: TensorFunction) -> tuple[Any, ...] | None:
    """
    :param function: from :func:`make_network_function`
    :return: what functions that :func:`compute_groups` takes have in common; ``None`` if it cannot compute this one
    """
    if isinstance(function, FunctionChain):
        parts = [describe_function(part) for part in function.parts]
        return None if None in parts else tuple(parts)
    if isinstance(function, (LinearFunction, PatchConvolution)):
        weight, bias = function.weights
        return (type(function), weight.shape, bias is None, getattr(function, "window", None))
    return (function,) if function in (torch.relu, torch.tanh, _flatten, _pick_board) else None


class FunctionChain:
    """
    Functions, one after the other.

    :param parts: the functions
    """

    def __init__(self, parts: Sequence[TensorFunction]) -> None:
        self.parts = parts

    def __call__(self, inputs: Any) -> torch.Tensor:
        """
        :param inputs: of the first function
        :return: outputs of the last one
        """
        for part in self.parts:
            inputs = part(inputs)
        outputs: torch.Tensor = inputs
        return outputs


class LinearFunction:
    """
    Computes a linear layer.

    :param module: the layer
    """

    def __init__(self, module: nn.Linear) -> None:
        self.weights = (module.weight, module.bias)

    def __call__(self, inputs: torch.Tensor) -> torch.Tensor:
        """
        :param inputs: shape (rows, numbers)
        :return: outputs, shape (rows, numbers)
        """
        return linear(inputs, *self.weights)


class PatchConvolution:
    """
    Computes a convolution as one product of two matrices: of the patches of the inputs, and of the weights.

    On boards of a few cells this takes a third of the time of torch's convolution.

    :param module: a convolution with stride 1 and a padding of zeros
    """

    def __init__(self, module: nn.Conv2d) -> None:
        self._module = module
        self.window = make_window(module)

    @property
    def weights(self) -> tuple[torch.Tensor, torch.Tensor | None]:
        """Weights of the product, shape (output channels, numbers in a patch), and biases."""
        return self._module.weight.flatten(1), self._module.bias

    def __call__(self, inputs: torch.Tensor) -> torch.Tensor:
        """
        :param inputs: shape (rows, channels, height, width)
        :return: outputs, shape (rows, output channels, height, width)
        """
        patches, height, width = select_patches(inputs, self.window)
        return _order_by_channel(linear(patches, *self.weights), len(inputs), height, width)


def _order_by_channel(products: torch.Tensor, rows: int, height: int, width: int) -> torch.Tensor:
    return products.view(rows, height * width, -1).transpose(1, 2).reshape(rows, -1, height, width)


def _multiply_groups(
    weights: Sequence[tuple[torch.Tensor, torch.Tensor | None]], inputs: torch.Tensor, sizes: Sequence[int]
) -> torch.Tensor:
    outputs = inputs.new_empty((len(inputs), len(weights[0][0])))
    groups = zip(weights, inputs.split(sizes), outputs.split(sizes), strict=True)  # type: ignore[no-untyped-call]
    for (weight, bias), rows, products in groups:
        if bias is None:
            torch.mm(rows, weight.t(), out=products)
        else:
            torch.addmm(bias, rows, weight.t(), out=products)
    return outputs


def _has_small_patches(module: nn.Conv2d) -> bool:
    is_plain = (module.stride, module.dilation, module.groups, module.padding_mode) == ((1, 1), (1, 1), 1, "zeros")
    in_patch = module.in_channels * module.kernel_size[0] * module.kernel_size[1]
    return is_plain and not isinstance(module.padding, str) and in_patch <= _MOST_IN_PATCH


def _pick_board(observations: torch.Tensor | dict[str, torch.Tensor]) -> torch.Tensor:
    return observations["observation"] if isinstance(observations, dict) else observations


def _flatten(inputs: torch.Tensor) -> torch.Tensor:
    return inputs.flatten(1)
