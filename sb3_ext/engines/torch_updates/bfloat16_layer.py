"""Features extractors whose products are computed in bfloat16."""

from __future__ import annotations

import copy
from typing import Any

import torch
from torch import nn

from sb3_ext.engines.coverage import NotCovered
from sb3_ext.engines.torch_updates.backpropagation import ChainLayer, make_layer

Tensor = torch.Tensor


class Bfloat16Layer(ChainLayer):
    """
    A features extractor that is computed in bfloat16, with rounded copies of its weights. The weights and their
    gradients have 32 bits.

    :param module: the features extractor
    :param is_trained: whether gradients are needed
    :raises NotCovered: if the extractor has numbers that it changes itself
    """

    def __init__(self, module: nn.Module, *, is_trained: bool = True) -> None:
        if any(True for _ in module.buffers()):
            raise NotCovered("its features extractor has buffers, such as the mean of a BatchNorm")
        self._module, self._rounded = module, copy.deepcopy(module).to(torch.bfloat16)
        self._pairs = list(zip(module.parameters(), self._rounded.parameters(), strict=True))
        for _, rounded in self._pairs:
            rounded.grad = torch.zeros_like(rounded) if is_trained else None
        super().__init__([make_layer(self._rounded, is_trained=is_trained)])

    def forward(self, inputs: Any) -> Tensor:
        """See :meth:`Differentiable.forward`."""
        self._rounded.train(self._module.training)
        for weight, rounded in self._pairs:
            rounded.data.copy_(weight.data)
        return super().forward(_round(inputs)).float()

    def backward(self, slopes: Tensor, *, to_weights: bool = True, to_inputs: bool = False) -> Tensor | None:
        """See :meth:`Differentiable.backward`."""
        found = super().backward(slopes.to(torch.bfloat16), to_weights=to_weights, to_inputs=to_inputs)
        if to_weights:
            for weight, rounded in self._pairs:
                if weight.grad is not None and rounded.grad is not None:
                    weight.grad.copy_(rounded.grad)
        return None if found is None else found.float()


def _round(inputs: Any) -> Any:
    if isinstance(inputs, dict):
        return {key: part.to(torch.bfloat16) for key, part in inputs.items()}
    return inputs.to(torch.bfloat16)
