"""Draw actions with the random numbers that SB3's distributions draw, and compute their log-probabilities."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from sb3_contrib.common.maskable.distributions import (
    MaskableBernoulliDistribution,
    MaskableCategoricalDistribution,
    MaskableMultiCategoricalDistribution,
)
from stable_baselines3.common.distributions import (
    BernoulliDistribution,
    CategoricalDistribution,
    DiagGaussianDistribution,
    MultiCategoricalDistribution,
    StateDependentNoiseDistribution,
)
from torch import nn
from torch.nn.functional import logsigmoid

from sb3_ext.engines.collecting.layer_programs import Activations
from sb3_ext.engines.coverage import NotCovered, name_type

MASKED_OUT = np.float32(-1e8)
"""Logit of a masked action in SB3-Contrib."""

Actions = tuple[NDArray[Any], NDArray[np.float32]]
"""Actions of shape (rows, …), and their log-probabilities of shape (rows,)."""


class ActionSampling(ABC):
    """
    Draws actions from the outputs of a policy's last layer.

    :param outputs: outputs of the last layer, which change with each call
    """

    def __init__(self, outputs: Activations) -> None:
        self.outputs = outputs

    @abstractmethod
    def draw(self, masks: NDArray[Any] | None) -> Actions:
        """
        Draw actions from torch's global generator.

        :param masks: true for each action that is allowed; ``None`` without masks
        :return: new arrays
        """

    @abstractmethod
    def choose(self, masks: NDArray[Any] | None) -> NDArray[Any]:
        """
        Find the most likely actions.

        :param masks: as of :meth:`draw`
        :return: new array of shape (rows, …)
        """


class CategoricalSampling(ActionSampling):
    """
    Draws one or several integers.

    :param outputs: logits, of shape (rows, sum of counts)
    :param counts: number of values of each integer
    :param is_single: whether the actions have the shape (rows,) instead of (rows, integers)
    """

    def __init__(self, outputs: Activations, counts: list[int], is_single: bool) -> None:
        super().__init__(outputs)
        rows = len(outputs.array)
        ends = np.cumsum(counts)
        self._slices = [slice(int(end) - count, int(end)) for count, end in zip(counts, ends, strict=True)]
        # What torch.multinomial draws: the largest quotient of probability and exponential number wins.
        self._exponentials = [Activations(rows, count) for count in counts]
        self._rows = np.arange(rows)
        self._ones = np.ones(rows, np.float32)
        self._is_single = is_single

    def draw(self, masks: NDArray[Any] | None) -> Actions:
        """See :meth:`ActionSampling.draw`."""
        logits = self._mask(masks)
        actions = np.empty((len(logits), len(self._slices)), np.int64)
        log_probs: Any = 0
        for place, (columns, exponentials) in enumerate(zip(self._slices, self._exponentials, strict=True)):
            part = logits[:, columns]
            shifted = part - np.maximum.reduce(part, axis=1, keepdims=True)
            weights = np.exp(shifted)
            exponentials.tensor.exponential_()
            chosen = (weights / exponentials.array).argmax(1)
            log_probs = log_probs + (shifted[self._rows, chosen] - np.log(np.add.reduce(weights, axis=1)))
            actions[:, place] = chosen
        if math.isnan(np.dot(log_probs, self._ones)):
            raise RuntimeError("cannot draw actions: the outputs of the policy are NaN or infinite")
        return (actions[:, 0] if self._is_single else actions), log_probs

    def choose(self, masks: NDArray[Any] | None) -> NDArray[np.int64]:
        """See :meth:`ActionSampling.choose`."""
        logits = self._mask(masks)
        actions = np.stack([logits[:, columns].argmax(1) for columns in self._slices], axis=1)
        return actions[:, 0] if self._is_single else actions

    def _mask(self, masks: NDArray[Any] | None) -> NDArray[np.float32]:
        logits = self.outputs.array
        if masks is None:
            return logits
        allowed = np.asarray(masks, dtype=bool).reshape(logits.shape)
        # Normalised first, as in SB3-Contrib, so that large logits remain above those of masked actions.
        logits = np.concatenate([_normalize(logits[:, columns]) for columns in self._slices], axis=1)
        return np.where(allowed, logits, MASKED_OUT)


class GaussianSampling(ActionSampling):
    """
    Draws numbers from normal distributions.

    :param outputs: means
    :param log_std: logarithms of standard deviations, of the shape (numbers,)
    """

    def __init__(self, outputs: Activations, log_std: torch.Tensor) -> None:
        super().__init__(outputs)
        self._log_std = log_std
        self._noise = Activations(*outputs.array.shape)

    def draw(self, masks: NDArray[Any] | None) -> Actions:
        """See :meth:`ActionSampling.draw`."""
        means, std = self.outputs.array, np.exp(self._log_std.detach().numpy())
        self._noise.tensor.normal_()
        actions = means + self._noise.array * std
        log_probs = -((actions - means) ** 2) / (2 * std**2) - np.log(std) - math.log(math.sqrt(2 * math.pi))
        return actions, np.add.reduce(log_probs, axis=1)

    def choose(self, masks: NDArray[Any] | None) -> NDArray[np.float32]:
        """See :meth:`ActionSampling.choose`."""
        return self.outputs.array.copy()


class BernoulliSampling(ActionSampling):
    """Draws bits from their logits."""

    def draw(self, masks: NDArray[Any] | None) -> Actions:
        """See :meth:`ActionSampling.draw`."""
        logits = self.outputs.tensor
        actions = torch.bernoulli(torch.sigmoid(logits))
        log_probs = logsigmoid(torch.where(actions > 0, logits, -logits)).sum(1)
        return actions.numpy(), log_probs.numpy()

    def choose(self, masks: NDArray[Any] | None) -> NDArray[np.float32]:
        """See :meth:`ActionSampling.choose`."""
        return torch.round(torch.sigmoid(self.outputs.tensor)).numpy()


def make_sampling(distribution: Any, outputs: Activations, log_std: nn.Parameter | None) -> ActionSampling:
    """
    :param distribution: distribution of a policy
    :param outputs: outputs of the policy's last layer
    :param log_std: the policy's standard deviations, if it has any
    :return: the same distribution
    :raises NotCovered: if the distribution is not supported
    """
    kind = type(distribution)
    if kind is DiagGaussianDistribution:
        assert log_std is not None, "the policy of a Gaussian distribution has one"
        return GaussianSampling(outputs, log_std)
    if kind is BernoulliDistribution:
        return BernoulliSampling(outputs)
    if kind in (CategoricalDistribution, MaskableCategoricalDistribution):
        return CategoricalSampling(outputs, [int(distribution.action_dim)], is_single=True)
    if kind in (MultiCategoricalDistribution, MaskableMultiCategoricalDistribution, MaskableBernoulliDistribution):
        return CategoricalSampling(outputs, [int(count) for count in distribution.action_dims], is_single=False)
    if kind is StateDependentNoiseDistribution:
        raise NotCovered("exploration is state-dependent (use_sde)")
    raise NotCovered(f"actions have a {name_type(distribution)}")


def _normalize(logits: NDArray[np.float32]) -> NDArray[np.float32]:
    shifted = logits - np.maximum.reduce(logits, axis=1, keepdims=True)
    return shifted - np.log(np.add.reduce(np.exp(shifted), axis=1, keepdims=True))
