"""Compute torch modules with NumPy, on the memory of their parameters."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from sb3_ext.engines.coverage import NotCovered
from sb3_ext.engines.network_functions import make_network_function
from sb3_ext.internals.torch import get_own_parameters, has_hooks

# OpenBLAS computes larger products with several threads, whatever torch's number of threads is.
_MAX_NUMPY_PRODUCT = {"vector": 9_216, "matrix": 262_144}


class Activations:
    """
    A NumPy array and a torch tensor on the same memory.

    :param shape: shape of both, which begins with the number of rows
    """

    def __init__(self, *shape: int) -> None:
        self.tensor = torch.zeros(shape)
        self.array: NDArray[np.float32] = self.tensor.numpy()


class LayerProgram:
    """
    Computes modules for a fixed number of rows. Calls of torch modules take longer than the arithmetic of small layers.

    ``Linear``, ``Tanh`` and ``ReLU`` are computed on arrays that are allocated once; other modules are called.

    :param rows: number of rows of all activations
    """

    def __init__(self, rows: int) -> None:
        self.rows = rows
        #: whether modules are called, whose result may depend on ``training``
        self.calls_modules = False
        self._steps: list[Callable[[], Any]] = []
        self._parameters: list[tuple[dict[str, Any], str]] = []
        self._addresses: list[int] = []

    def __call__(self) -> None:
        """Compute the outputs from the inputs."""
        for step in self._steps:
            step()

    def has_moved(self) -> bool:
        """:return: whether parameters are no longer where they were, so that this program computes with old ones"""
        return [parameters[name].data_ptr() for parameters, name in self._parameters] != self._addresses

    def add(self, module: nn.Module, inputs: Activations) -> Activations:
        """
        Compute a module after those that were added before.

        :param module: a module in evaluation mode
        :param inputs: its inputs
        :return: its outputs
        :raises NotCovered: if its parameters are not 32-bit numbers in the memory of the CPU
        """
        kind = type(module)
        if not has_hooks(module):
            if isinstance(module, nn.Sequential) and kind is nn.Sequential:
                for part in module:
                    inputs = self.add(part, inputs)
                return inputs
            if isinstance(module, nn.Linear) and kind is nn.Linear:
                return self._add_linear(module, inputs)
            if kind is nn.Tanh:
                return self._add_activation(np.tanh, inputs)
            if kind is nn.ReLU:
                return self._add_activation(partial(np.maximum, np.float32(0)), inputs)
            if kind is nn.Identity or (kind is nn.Flatten and inputs.array.ndim == 2):
                return inputs
        return self.add_call(module, lambda: inputs.tensor)

    def add_call(self, module: nn.Module, read: Callable[[], Any]) -> Activations:
        """
        Call a module after those that were added before.

        :param module: a module in evaluation mode
        :param read: returns its inputs
        :return: its outputs
        :raises NotCovered: if its parameters are not in the memory of the CPU
        """
        validate_parameters(module)
        self.calls_modules = True
        compute = make_network_function(module)
        with torch.no_grad(), torch.random.fork_rng(devices=[]):
            outputs = Activations(*compute(read()).shape)

        def call() -> None:
            with torch.no_grad():
                outputs.tensor.copy_(compute(read()))

        self._steps.append(call)
        return outputs

    def _add_linear(self, module: nn.Linear, inputs: Activations) -> Activations:
        validate_parameters(module)
        parameters = get_own_parameters(module)
        weight = self._view(parameters, "weight").T
        outputs = Activations(self.rows, module.out_features)
        limit = _MAX_NUMPY_PRODUCT["vector" if self.rows == 1 else "matrix"]
        if self.rows * weight.numel() <= limit:
            self._steps.append(partial(np.dot, inputs.array, weight.numpy(), outputs.array))
        else:
            self._steps.append(partial(torch.mm, inputs.tensor, weight, out=outputs.tensor))
        if module.bias is not None:
            bias = self._view(parameters, "bias").numpy()
            self._steps.append(partial(np.add, outputs.array, bias, outputs.array))
        return outputs

    def _view(self, parameters: dict[str, Any], name: str) -> torch.Tensor:
        parameter: torch.Tensor = parameters[name]
        self._parameters.append((parameters, name))
        self._addresses.append(parameter.data_ptr())
        return parameter.detach()

    def _add_activation(self, function: Callable[..., Any], inputs: Activations) -> Activations:
        outputs = Activations(*inputs.array.shape)
        self._steps.append(partial(function, inputs.array, out=outputs.array))
        return outputs


def validate_parameters(module: nn.Module) -> None:
    """
    Check that NumPy can compute with the parameters of a module.

    :param module: a torch module
    :raises NotCovered: if it cannot
    """
    for parameter in module.parameters():
        if parameter.device.type != "cpu":
            raise NotCovered(f"its parameters are on the device {parameter.device}")
        if parameter.dtype != torch.float32:
            raise NotCovered(f"its parameters are of the type {parameter.dtype}")
