"""Translate torch modules to functions of JAX arrays."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
from stable_baselines3.common.torch_layers import CombinedExtractor, FlattenExtractor, NatureCNN
from torch import nn

from sb3_ext.algorithms.board_networks import BoardCNN
from sb3_ext.engines.coverage import NotCovered, name_type
from sb3_ext.engines.xla.tensor_groups import Parameters, TensorGroup
from sb3_ext.internals.torch import has_hooks

Layer = Callable[[Parameters, Any], Any]
"""A function of the parameters and of a batch."""


def translate(module: nn.Module, group: TensorGroup) -> Layer:
    """
    Translate a torch module to a function of JAX arrays.

    :param module: a torch module
    :param group: group of its parameters
    :return: the function
    :raises NotCovered: if modules of exactly this class are not supported
    """
    kind = type(module)
    if has_hooks(module):
        raise NotCovered(f"{name_type(module)} has hooks")
    if kind in _ACTIVATIONS:
        activation = _ACTIVATIONS[kind](module)
        return lambda _parameters, inputs: activation(inputs)
    if kind in _MODULES:
        return _MODULES[kind](module, group)
    raise NotCovered(f"the network has a {name_type(module)}")


def chain(layers: Sequence[Layer]) -> Layer:
    """
    :param layers: layers in the order of application
    :return: function that applies all layers, one after the other
    """

    def apply(parameters: Parameters, inputs: Any) -> Any:
        for layer in layers:
            inputs = layer(parameters, inputs)
        return inputs

    return apply


def _translate_sequence(module: nn.Sequential, group: TensorGroup) -> Layer:
    return chain([translate(part, group) for part in module])


def _translate_linear(module: nn.Linear, group: TensorGroup) -> Layer:
    weight = group.find_place(module.weight)
    bias = None if module.bias is None else group.find_place(module.bias)

    def apply(parameters: Parameters, inputs: Any) -> Any:
        outputs = inputs @ parameters[weight].T
        return outputs if bias is None else outputs + parameters[bias]

    return apply


def _translate_convolution(module: nn.Conv2d, group: TensorGroup) -> Layer:
    if module.padding_mode != "zeros" or isinstance(module.padding, str):
        raise NotCovered(f"a Conv2d has the padding {module.padding} of {module.padding_mode}")
    weight = group.find_place(module.weight)
    bias = None if module.bias is None else group.find_place(module.bias)
    padding = [(size, size) for size in module.padding]

    def apply(parameters: Parameters, inputs: Any) -> Any:
        outputs = jax.lax.conv_general_dilated(
            inputs,
            parameters[weight],
            module.stride,
            padding,
            rhs_dilation=module.dilation,
            dimension_numbers=("NCHW", "OIHW", "NCHW"),
            feature_group_count=module.groups,
        )
        return outputs if bias is None else outputs + parameters[bias][:, None, None]

    return apply


def _translate_norm(module: nn.LayerNorm, group: TensorGroup) -> Layer:
    axes = tuple(range(-len(module.normalized_shape), 0))
    # Both are None without elementwise_affine, the bias also with bias=False.
    scale, shift = (None if tensor is None else group.find_place(tensor) for tensor in (module.weight, module.bias))

    def apply(parameters: Parameters, inputs: Any) -> Any:
        centered = inputs - inputs.mean(axes, keepdims=True)
        outputs = centered / jnp.sqrt((centered**2).mean(axes, keepdims=True) + module.eps)
        outputs = outputs if scale is None else outputs * parameters[scale]
        return outputs if shift is None else outputs + parameters[shift]

    return apply


def _translate_flatten(module: nn.Flatten, _group: TensorGroup) -> Layer:
    if (module.start_dim, module.end_dim) != (1, -1):
        raise NotCovered("a Flatten keeps more than the first dimension")
    return lambda _parameters, inputs: inputs.reshape(inputs.shape[0], -1)


def _translate_flatten_extractor(module: FlattenExtractor, group: TensorGroup) -> Layer:
    return translate(module.flatten, group)


def _translate_nature_cnn(module: NatureCNN, group: TensorGroup) -> Layer:
    return chain([translate(module.cnn, group), translate(module.linear, group)])


def _translate_board_cnn(module: BoardCNN, group: TensorGroup) -> Layer:
    layers = translate(module.layers, group)
    return lambda parameters, inputs: layers(parameters, inputs["observation"] if isinstance(inputs, dict) else inputs)


def _translate_combined(module: CombinedExtractor, group: TensorGroup) -> Layer:
    parts = {key: translate(part, group) for key, part in module.extractors.items()}

    def apply(parameters: Parameters, inputs: Any) -> Any:
        return jnp.concatenate([part(parameters, inputs[key]) for key, part in parts.items()], axis=1)

    return apply


_MODULES: dict[type[nn.Module], Callable[[Any, TensorGroup], Layer]] = {
    nn.Sequential: _translate_sequence,
    nn.Linear: _translate_linear,
    nn.Conv2d: _translate_convolution,
    nn.LayerNorm: _translate_norm,
    nn.Flatten: _translate_flatten,
    FlattenExtractor: _translate_flatten_extractor,
    NatureCNN: _translate_nature_cnn,
    BoardCNN: _translate_board_cnn,
    CombinedExtractor: _translate_combined,
}


def _make_softplus(module: nn.Softplus) -> Callable[[Any], Any]:
    def softplus(inputs: Any) -> Any:
        scaled = inputs * module.beta
        return jnp.where(scaled > module.threshold, inputs, jax.nn.softplus(scaled) / module.beta)

    return softplus


_ACTIVATIONS: dict[type[nn.Module], Callable[[Any], Callable[[Any], Any]]] = {
    nn.Identity: lambda module: lambda inputs: inputs,
    nn.Tanh: lambda module: jnp.tanh,
    nn.ReLU: lambda module: jax.nn.relu,
    nn.ReLU6: lambda module: jax.nn.relu6,
    nn.ELU: lambda module: lambda inputs: jax.nn.elu(inputs, module.alpha),
    nn.CELU: lambda module: lambda inputs: jax.nn.celu(inputs, module.alpha),
    nn.SELU: lambda module: jax.nn.selu,
    nn.LeakyReLU: lambda module: lambda inputs: jax.nn.leaky_relu(inputs, module.negative_slope),
    nn.SiLU: lambda module: jax.nn.silu,
    nn.GELU: lambda module: lambda inputs: jax.nn.gelu(inputs, approximate=module.approximate == "tanh"),
    nn.Mish: lambda module: jax.nn.mish,
    nn.Sigmoid: lambda module: jax.nn.sigmoid,
    nn.Softplus: _make_softplus,
}
