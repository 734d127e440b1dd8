"""The base class of layers that compute their outputs and gradients without autograd."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any

import torch

Tensor = torch.Tensor


class Differentiable(ABC):
    """Base class of layers."""

    @abstractmethod
    def forward(self, inputs: Any) -> Tensor:
        """
        :param inputs: a batch
        :return: the outputs
        """

    @abstractmethod
    def backward(self, slopes: Tensor, *, to_weights: bool = True, to_inputs: bool = False) -> Tensor | None:
        """
        Compute gradients of a loss after :meth:`forward`.

        :param slopes: gradient with respect to the outputs, which may be overwritten
        :param to_weights: whether to write the gradients with respect to the weights to their ``grad``
        :param to_inputs: whether to return the gradient with respect to the inputs
        :return: this gradient, or ``None``
        """
