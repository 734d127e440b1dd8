"""
Layers that compute their outputs and gradients without autograd.

A layer keeps the inputs of its last forward pass for the backward pass. Modules without a counterpart here run with
autograd.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from typing import Any

import torch
from gymnasium import spaces
from stable_baselines3.common.torch_layers import FlattenExtractor, NatureCNN
from torch import nn
from torch.nn.functional import linear

from sb3_ext.algorithms.board_networks import BoardCNN
from sb3_ext.engines.torch_updates.convolution_layers import ConvolutionLayer, PatchLayer
from sb3_ext.engines.torch_updates.differentiable import Differentiable
from sb3_ext.engines.torch_updates.winograd_layer import WinogradLayer, is_worth_tiles
from sb3_ext.internals.sb3 import get_extracted_space
from sb3_ext.internals.torch import has_hooks

Tensor = torch.Tensor
aten = torch.ops.aten


class LinearLayer(Differentiable):
    """
    :param module: a linear layer
    """

    def __init__(self, module: nn.Linear) -> None:
        self.module = module
        self._weight, self._bias = module.weight, module.bias

    def forward(self, inputs: Tensor) -> Tensor:
        """See :meth:`Differentiable.forward`."""
        self._inputs = inputs
        return linear(inputs, self._weight, self._bias)

    def backward(self, slopes: Tensor, *, to_weights: bool = True, to_inputs: bool = False) -> Tensor | None:
        """See :meth:`Differentiable.backward`."""
        if to_weights:
            torch.mm(slopes.t(), self._inputs, out=self._weight.grad)
            if self._bias is not None:
                torch.sum(slopes, 0, out=self._bias.grad)
        return slopes.mm(self._weight) if to_inputs else None


class PixelLinearLayer(LinearLayer):
    """
    A linear layer after a :class:`FlattenLayer`, which it replaces.

    Convolutions leave the channels of a pixel side by side, but SB3 flattens images channel by channel. Reordering the
    weights takes less time than reordering the outputs of a minibatch.
    """

    def forward(self, inputs: Tensor) -> Tensor:
        """See :meth:`Differentiable.forward`."""
        self._has_pixels = inputs.ndim == 4 and inputs.stride(1) == 1
        self._shape = inputs.shape
        if not self._has_pixels:
            return super().forward(inputs.flatten(1))
        self._inputs = inputs.permute(0, 2, 3, 1).flatten(1)
        self._ordered = self._split(self._weight.detach()).transpose(1, 2).flatten(1)
        return linear(self._inputs, self._ordered, self._bias)

    def backward(self, slopes: Tensor, *, to_weights: bool = True, to_inputs: bool = False) -> Tensor | None:
        """See :meth:`Differentiable.backward`."""
        if not self._has_pixels:
            found = super().backward(slopes, to_weights=to_weights, to_inputs=to_inputs)
            return None if found is None else found.view(self._shape)
        if to_weights:
            assert self._weight.grad is not None, "the step of the optimizer has begun"
            gradient = slopes.t().mm(self._inputs).view(len(self._weight), -1, self._shape[1])
            self._split(self._weight.grad).copy_(gradient.transpose(1, 2))
            if self._bias is not None:
                torch.sum(slopes, 0, out=self._bias.grad)
        if not to_inputs:
            return None
        rows, channels, height, width = self._shape
        return slopes.mm(self._ordered).view(rows, height, width, channels).permute(0, 3, 1, 2)

    def _split(self, weight: Tensor) -> Tensor:
        return weight.view(len(weight), self._shape[1], -1)


class ActivationLayer(Differentiable):
    """
    An activation function.

    :param function: computes the outputs
    :param slope: computes the gradient from the slopes and the inputs or outputs
    :param from_outputs: whether the gradient is a function of the outputs
    :param in_place: computes the outputs in the memory of the inputs, if no other layer needs these
    """

    def __init__(
        self,
        function: Callable[[Tensor], Tensor],
        slope: Callable[[Tensor, Tensor], Tensor],
        from_outputs: bool = False,
        in_place: Callable[[Tensor], Tensor] | None = None,
    ) -> None:
        self._function, self._slope, self._from_outputs = function, slope, from_outputs
        self._in_place = in_place

    def overwrite_inputs(self) -> None:
        """Use the memory of the inputs for the outputs, since no other layer needs the inputs."""
        self._function = self._in_place or self._function

    def forward(self, inputs: Tensor) -> Tensor:
        """See :meth:`Differentiable.forward`."""
        outputs = self._function(inputs)
        self._kept = outputs if self._from_outputs else inputs
        return outputs

    def backward(self, slopes: Tensor, *, to_weights: bool = True, to_inputs: bool = False) -> Tensor | None:
        """See :meth:`Differentiable.backward`."""
        return self._slope(slopes, self._kept) if to_inputs else None


class FlattenLayer(Differentiable):
    """Flatten all dimensions but the first."""

    def forward(self, inputs: Tensor) -> Tensor:
        """See :meth:`Differentiable.forward`."""
        self._shape = inputs.shape
        return inputs.flatten(1)

    def backward(self, slopes: Tensor, *, to_weights: bool = True, to_inputs: bool = False) -> Tensor | None:
        """See :meth:`Differentiable.backward`."""
        return slopes.view(self._shape) if to_inputs else None


class PartLayer(Differentiable):
    """
    Take one part of a ``Dict`` observation.

    :param key: its key
    """

    def __init__(self, key: str) -> None:
        self._key = key

    def forward(self, inputs: Any) -> Tensor:
        """See :meth:`Differentiable.forward`."""
        part: Tensor = inputs[self._key]
        return part

    def backward(self, slopes: Tensor, *, to_weights: bool = True, to_inputs: bool = False) -> Tensor | None:
        """See :meth:`Differentiable.backward`."""
        return slopes if to_inputs else None


class ChainLayer(Differentiable):
    """
    Layers, one after the other.

    :param layers: the layers in the order of application
    """

    def __init__(self, layers: Sequence[Differentiable]) -> None:
        flat: list[Differentiable] = []
        for layer in layers:
            flat += layer.layers if isinstance(layer, ChainLayer) else [layer]
        for place in reversed(range(len(flat) - 1)):
            before, layer = flat[place : place + 2]
            if type(before) is FlattenLayer and type(layer) is LinearLayer:
                flat[place : place + 2] = [PixelLinearLayer(layer.module)]
        self._layers = flat
        for before, layer in itertools.pairwise(flat):
            if isinstance(before, (LinearLayer, ConvolutionLayer)) and isinstance(layer, ActivationLayer):
                layer.overwrite_inputs()
        trained = [place for place, layer in enumerate(self._layers) if _is_trained(layer)]
        self._first_trained = trained[0] if trained else len(self._layers)

    @property
    def layers(self) -> Sequence[Differentiable]:
        """The layers in the order of application."""
        return self._layers

    @property
    def is_trained(self) -> bool:
        """Whether a layer has weights."""
        return self._first_trained < len(self._layers)

    def forward(self, inputs: Any) -> Tensor:
        """See :meth:`Differentiable.forward`."""
        for layer in self._layers:
            inputs = layer.forward(inputs)
        outputs: Tensor = inputs
        return outputs

    def backward(self, slopes: Tensor, *, to_weights: bool = True, to_inputs: bool = False) -> Tensor | None:
        """See :meth:`Differentiable.backward`."""
        last = 0 if to_inputs else self._first_trained
        found: Tensor | None = slopes
        for place in range(len(self._layers) - 1, last - 1, -1):
            assert found is not None, "the layer above has returned the gradient"
            found = self._layers[place].backward(found, to_weights=to_weights, to_inputs=to_inputs or place > last)
        return found if to_inputs else None


class AutogradLayer(Differentiable):
    """
    Any module, with autograd.

    :param module: the module
    """

    def __init__(self, module: nn.Module) -> None:
        self._module = module
        self._weights = [weight for weight in module.parameters() if weight.requires_grad]

    @property
    def is_trained(self) -> bool:
        """Whether the module has weights."""
        return bool(self._weights)

    def forward(self, inputs: Any) -> Tensor:
        """See :meth:`Differentiable.forward`."""
        if isinstance(inputs, torch.Tensor):
            inputs = inputs.detach()
            if inputs.is_floating_point():
                inputs.requires_grad_()
        self._inputs = inputs
        with torch.enable_grad():
            outputs: Tensor = self._module(inputs)
        self._outputs = outputs
        return outputs.detach()

    def backward(self, slopes: Tensor, *, to_weights: bool = True, to_inputs: bool = False) -> Tensor | None:
        """See :meth:`Differentiable.backward`."""
        weights = self._weights if to_weights else []
        sources = [*weights, *([self._inputs] if to_inputs else [])]
        if not sources:
            return None
        gradients = torch.autograd.grad(self._outputs, sources, slopes, allow_unused=True)
        for weight, gradient in zip(weights, gradients, strict=False):
            assert weight.grad is not None, "the step of the optimizer has begun"
            if gradient is None:
                weight.grad.zero_()
            else:
                weight.grad.copy_(gradient)
        found: Tensor | None = gradients[-1] if to_inputs else None
        return found


class ForwardLayer(Differentiable):
    """
    Any module without gradients.

    :param module: the module
    """

    def __init__(self, module: nn.Module) -> None:
        self._module = module

    def forward(self, inputs: Any) -> Tensor:
        """See :meth:`Differentiable.forward`."""
        outputs: Tensor = self._module(inputs)
        return outputs

    def backward(self, slopes: Tensor, *, to_weights: bool = True, to_inputs: bool = False) -> Tensor | None:
        """
        See :meth:`Differentiable.backward`.

        :raises RuntimeError: always
        """
        raise RuntimeError("this network is not trained")


_ACTIVATIONS: dict[type[nn.Module], Callable[[Any], Differentiable]] = {
    nn.Identity: lambda module: ActivationLayer(lambda inputs: inputs, lambda slopes, _inputs: slopes),
    nn.Tanh: lambda module: ActivationLayer(torch.tanh, aten.tanh_backward, True, torch.tanh_),
    nn.ReLU: lambda module: ActivationLayer(
        torch.relu, lambda slopes, outputs: aten.threshold_backward(slopes, outputs, 0), True, torch.relu_
    ),
    nn.Sigmoid: lambda module: ActivationLayer(torch.sigmoid, aten.sigmoid_backward, True, torch.sigmoid_),
    nn.SiLU: lambda module: ActivationLayer(aten.silu, aten.silu_backward),
    nn.GELU: lambda module: ActivationLayer(
        lambda inputs: aten.gelu(inputs, approximate=module.approximate),
        lambda slopes, inputs: aten.gelu_backward(slopes, inputs, approximate=module.approximate),
    ),
    nn.ELU: lambda module: ActivationLayer(
        lambda inputs: aten.elu(inputs, module.alpha),
        lambda slopes, inputs: aten.elu_backward(slopes, module.alpha, 1, 1, False, inputs),
    ),
    nn.LeakyReLU: lambda module: ActivationLayer(
        lambda inputs: aten.leaky_relu(inputs, module.negative_slope),
        lambda slopes, inputs: aten.leaky_relu_backward(slopes, inputs, module.negative_slope, False),
    ),
}


def make_layer(module: nn.Module, *, is_trained: bool = True, is_on_boards: bool = False) -> Differentiable:
    """
    :param module: a torch module
    :param is_trained: whether gradients are needed
    :param is_on_boards: whether the inputs are small boards
    :return: a layer with its weights
    """
    kind = type(module)
    if not has_hooks(module):
        if kind is nn.Sequential:
            return ChainLayer([make_layer(part, is_trained=is_trained) for part in module.children()])
        if isinstance(module, (NatureCNN, BoardCNN)) and kind in (NatureCNN, BoardCNN):
            return _make_extractor(module, is_trained)
        is_plain = all(weight.requires_grad or not is_trained for weight in module.parameters())
        if isinstance(module, nn.Linear) and kind is nn.Linear and is_plain:
            return LinearLayer(module)
        if isinstance(module, nn.Conv2d) and kind is nn.Conv2d and is_plain and _has_known_padding(module):
            return _make_convolution(module, is_on_boards)
        if kind is FlattenExtractor or (
            isinstance(module, nn.Flatten) and (module.start_dim, module.end_dim) == (1, -1)
        ):
            return FlattenLayer()
        if kind in _ACTIVATIONS:
            return _ACTIVATIONS[kind](module)
    return AutogradLayer(module) if is_trained else ForwardLayer(module)


def _make_extractor(module: NatureCNN | BoardCNN, is_trained: bool) -> ChainLayer:
    if isinstance(module, NatureCNN):
        return ChainLayer([make_layer(part, is_trained=is_trained) for part in (module.cnn, module.linear)])
    first, *rest = module.layers.children()
    layers = [make_layer(first, is_trained=is_trained, is_on_boards=True)]
    layers += [make_layer(part, is_trained=is_trained) for part in rest]
    has_parts = isinstance(get_extracted_space(module), spaces.Dict)
    return ChainLayer([PartLayer("observation"), *layers] if has_parts else layers)


def _make_convolution(module: nn.Conv2d, is_on_boards: bool) -> ConvolutionLayer:
    if is_on_boards and module.groups == 1 and set(module.dilation) == {1}:
        return PatchLayer(module)
    return WinogradLayer(module) if is_worth_tiles(module) else ConvolutionLayer(module)


def _has_known_padding(module: nn.Conv2d) -> bool:
    return module.padding_mode == "zeros" and not isinstance(module.padding, str)


def _is_trained(layer: Differentiable) -> bool:
    return isinstance(layer, (LinearLayer, ConvolutionLayer)) or getattr(layer, "is_trained", False)
