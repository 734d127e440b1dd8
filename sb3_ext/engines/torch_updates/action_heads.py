"""Log-probabilities and entropies of actions, and their gradients, as SB3's distributions compute them."""

from __future__ import annotations

import itertools
import math
from abc import ABC, abstractmethod
from collections.abc import Sequence

import torch
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
)
from torch.nn.functional import logsigmoid

from sb3_ext.engines.coverage import NotCovered, name_type

Tensor = torch.Tensor

_MASKED_LOGIT = -1e8


class ActionHead(ABC):
    """Base class of distributions of actions."""

    @abstractmethod
    def evaluate(self, outputs: Tensor, actions: Tensor, masks: Tensor | None) -> tuple[Tensor, Tensor]:
        """
        :param outputs: of the last layer of the policy, shape (batch, numbers)
        :param actions: actions of a rollout buffer, shape (batch, action size)
        :param masks: which actions are allowed, shape (batch, actions); ``None`` if all are
        :return: log-probabilities and negative entropies, shape (batch,)
        """

    @abstractmethod
    def compute_slopes(self, slopes: Tensor, entropy_slope: float) -> Tensor:
        """
        Compute gradients of a loss after :meth:`evaluate`.

        :param slopes: gradient with respect to the log-probabilities, shape (batch,)
        :param entropy_slope: gradient with respect to each negative entropy
        :return: gradient with respect to the outputs
        """


class CategoricalHead(ActionHead):
    """
    One or several categorical distributions, which may be masked.

    :param counts: number of values of each action
    """

    def __init__(self, counts: Sequence[int]) -> None:
        self._starts = list(zip(itertools.accumulate((0, *counts)), counts, strict=False))

    def evaluate(self, outputs: Tensor, actions: Tensor, masks: Tensor | None) -> tuple[Tensor, Tensor]:
        """See :meth:`ActionHead.evaluate`."""
        self._kept = []
        if masks is not None:
            outputs = outputs.masked_fill(masks == 0, _MASKED_LOGIT)
        total: list[Tensor] = []
        for place, (start, count) in enumerate(self._starts):
            scores = outputs[:, start : start + count].log_softmax(1)
            chosen = self._choose(actions, place)
            probabilities = scores.exp()
            entropy = (probabilities * scores).sum(1)
            self._kept.append((scores, probabilities, entropy, chosen))
            found = [self._sum_chosen(scores, chosen), entropy]
            total = [before.add(each) for before, each in zip(total, found, strict=True)] if total else found
        return total[0], total[1]

    def compute_slopes(self, slopes: Tensor, entropy_slope: float) -> Tensor:
        """See :meth:`ActionHead.compute_slopes`."""
        column = slopes[:, None]
        parts = []
        for scores, probabilities, entropy, chosen in self._kept:
            if entropy_slope:
                part = scores.sub(entropy[:, None]).mul_(entropy_slope).sub_(column).mul_(probabilities)
            else:
                part = probabilities.mul(column).neg_()
            parts.append(self._add_chosen(part, chosen, column))
        return parts[0] if len(parts) == 1 else torch.cat(parts, 1)

    def _choose(self, actions: Tensor, place: int) -> Tensor:
        """:return: what was chosen of one distribution"""
        return actions[:, place : place + 1].long()

    def _sum_chosen(self, scores: Tensor, chosen: Tensor) -> Tensor:
        """:return: log-probability of what was chosen, shape (batch,)"""
        return scores.gather(1, chosen).squeeze(1)

    def _add_chosen(self, part: Tensor, chosen: Tensor, column: Tensor) -> Tensor:
        """Add the slopes of the chosen values to those of all values."""
        return part.scatter_add_(1, chosen, column)


class TargetHead(CategoricalHead):
    """
    A categorical distribution that learns another one: its cross-entropy takes the place of a log-probability. The
    actions are the probabilities to learn, shape (batch, values).
    """

    def _choose(self, actions: Tensor, place: int) -> Tensor:
        return actions

    def _sum_chosen(self, scores: Tensor, chosen: Tensor) -> Tensor:
        return (scores * chosen).sum(1)

    def _add_chosen(self, part: Tensor, chosen: Tensor, column: Tensor) -> Tensor:
        return part.addcmul_(chosen, column)


class BernoulliHead(ActionHead):
    """Independent Bernoulli distributions."""

    def evaluate(self, outputs: Tensor, actions: Tensor, masks: Tensor | None) -> tuple[Tensor, Tensor]:
        """See :meth:`ActionHead.evaluate`."""
        actions, probabilities = actions.float(), outputs.sigmoid()
        self._kept = outputs, actions, probabilities
        positive, negative = logsigmoid(outputs), logsigmoid(-outputs)
        # a * positive + (1 - a) * negative
        return torch.lerp(negative, positive, actions).sum(1), torch.lerp(negative, positive, probabilities).sum(1)

    def compute_slopes(self, slopes: Tensor, entropy_slope: float) -> Tensor:
        """See :meth:`ActionHead.compute_slopes`."""
        outputs, actions, probabilities = self._kept
        found = (actions - probabilities).mul_(slopes[:, None])
        if entropy_slope:
            found += outputs * probabilities * (1 - probabilities) * entropy_slope
        return found


class GaussianHead(ActionHead):
    """
    Independent Gaussian distributions.

    :param log_std: logarithms of the standard deviations; its ``grad`` receives the gradient
    """

    def __init__(self, log_std: Tensor) -> None:
        self._log_std = log_std

    def evaluate(self, outputs: Tensor, actions: Tensor, masks: Tensor | None) -> tuple[Tensor, Tensor]:
        """See :meth:`ActionHead.evaluate`."""
        log_std = self._log_std.detach()
        precisions = log_std.mul(-2).exp_()
        self._scaled = (actions - outputs).mul_(precisions)
        self._squares = (actions - outputs).mul_(self._scaled)
        total = log_std.sum() + 0.5 * math.log(2 * math.pi) * log_std.numel()
        log_prob = self._squares.sum(1).mul_(-0.5).sub_(total)
        return log_prob, (-0.5 * log_std.numel() - total).expand(len(outputs))

    def compute_slopes(self, slopes: Tensor, entropy_slope: float) -> Tensor:
        """See :meth:`ActionHead.compute_slopes`."""
        column, log_std = slopes[:, None], self._log_std
        assert log_std.grad is not None, "the step of the optimizer has begun"
        torch.sum(self._squares.sub_(1).mul_(column), 0, out=log_std.grad)
        log_std.grad.sub_(entropy_slope * len(slopes))
        return self._scaled.mul_(column)


def make_action_head(policy: object) -> ActionHead:
    """
    :param policy: policy of PPO, MaskablePPO or A2C
    :return: counterpart of its distribution
    :raises NotCovered: if the distribution is not supported
    """
    distribution = policy.action_dist  # type: ignore[attr-defined]
    kind = type(distribution)
    if kind is DiagGaussianDistribution:
        return GaussianHead(policy.log_std)  # type: ignore[attr-defined]
    if kind is BernoulliDistribution:
        return BernoulliHead()
    if kind in (CategoricalDistribution, MaskableCategoricalDistribution):
        return CategoricalHead([distribution.action_dim])
    if kind in (MultiCategoricalDistribution, MaskableMultiCategoricalDistribution, MaskableBernoulliDistribution):
        return CategoricalHead([int(count) for count in distribution.action_dims])
    raise NotCovered(f"actions have a {name_type(distribution)}")
