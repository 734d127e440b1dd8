"""Networks for images whose products are computed in bfloat16."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

from sb3_ext.engines.torch_updates.backpropagation import AutogradLayer

Tensor = torch.Tensor


class Bfloat16Layer(AutogradLayer):
    """
    A features extractor of images, with autograd, as ``torch.autocast`` runs it in bfloat16. Weights and gradients have
    32 bits.

    :param module: the features extractor
    :param is_trained: whether gradients are needed
    """

    def __init__(self, module: nn.Module, *, is_trained: bool = True) -> None:
        super().__init__(module)
        self._needs_gradients = is_trained

    def forward(self, inputs: Any) -> Tensor:
        """See :meth:`Differentiable.forward`."""
        images = inputs.to(torch.bfloat16, memory_format=torch.channels_last)
        with torch.set_grad_enabled(self._needs_gradients), torch.autocast("cpu", torch.bfloat16):
            self._outputs = self._module(images).float()
        return self._outputs.detach()
