"""Log-probabilities and entropies of actions, as SB3's distributions compute them."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
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

from sb3_ext.engines.coverage import NotCovered, name_type

Evaluation = Callable[[Any, Any, Any], tuple[Any, Any]]
"""A function of the policy's output, the actions and their masks: log-probabilities and entropies, shape (batch,)."""

MASKED_LOGIT = -1e8
"""Logit of masked actions, as in SB3-Contrib."""

SQUASH_EPSILON = 1e-6
"""Small number that keeps the logarithm finite, as in SB3's ``SquashedDiagGaussianDistribution``."""


def make_evaluation(distribution: object, read_log_std: Callable[[Any], Any]) -> Callable[..., tuple[Any, Any]]:
    """
    Make a function that evaluates actions.

    :param distribution: a distribution of SB3 or SB3-Contrib
    :param read_log_std: for ``Box`` actions, returns the logarithms of standard deviations from the parameters
    :return: function from parameters, the output of the policy's last layer, actions, and masks or ``None`` to
        log-probabilities and entropies, each of shape (batch,)
    :raises NotCovered: if the distribution is not supported
    """
    kind = type(distribution)
    if kind is DiagGaussianDistribution:
        return lambda parameters, means, actions, _masks: _evaluate_gaussian(means, read_log_std(parameters), actions)
    if kind is BernoulliDistribution:
        return lambda _parameters, logits, actions, _masks: _evaluate_bernoulli(logits, actions)
    if kind in (CategoricalDistribution, MaskableCategoricalDistribution):
        counts = [distribution.action_dim]  # type: ignore[attr-defined]
    elif kind in (MultiCategoricalDistribution, MaskableMultiCategoricalDistribution, MaskableBernoulliDistribution):
        counts = [int(count) for count in distribution.action_dims]  # type: ignore[attr-defined]
    else:
        raise NotCovered(f"actions have a {name_type(distribution)}")
    return lambda _parameters, logits, actions, masks: _evaluate_categories(counts, logits, actions, masks)


def _evaluate_gaussian(means: Any, log_std: Any, actions: Any) -> tuple[Any, Any]:
    variance = jnp.exp(log_std) ** 2
    constant = 0.5 * math.log(2 * math.pi)
    log_prob = -((actions - means) ** 2) / (2 * variance) - log_std - constant
    entropy = jnp.broadcast_to(0.5 + constant + log_std, means.shape)
    return log_prob.sum(1), entropy.sum(1)


def _evaluate_bernoulli(logits: Any, actions: Any) -> tuple[Any, Any]:
    def score(targets: Any) -> Any:
        return (targets * jax.nn.log_sigmoid(logits) + (1 - targets) * jax.nn.log_sigmoid(-logits)).sum(1)

    return score(actions.astype(jnp.float32)), -score(jax.nn.sigmoid(logits))


def _evaluate_categories(counts: Sequence[int], logits: Any, actions: Any, masks: Any) -> tuple[Any, Any]:
    log_probs, entropies = [], []
    for place, (start, count) in enumerate(zip(itertools.accumulate((0, *counts)), counts, strict=False)):
        scores = jax.nn.log_softmax(logits[:, start : start + count])
        allowed: Any = True
        if masks is not None:
            allowed = masks[:, start : start + count] > 0
            scores = jax.nn.log_softmax(jnp.where(allowed, scores, MASKED_LOGIT))
        chosen = actions[:, place : place + 1].astype(jnp.int32)
        log_probs.append(jnp.take_along_axis(scores, chosen, 1)[:, 0])
        entropies.append(-jnp.where(allowed, jnp.exp(scores) * scores, 0.0).sum(1))
    return sum(log_probs), sum(entropies)


def squash(means: Any, log_std: Any, draws: Any) -> tuple[Any, Any]:
    """
    Compute actions from standard normal numbers as SB3's squashed Gaussian does.

    :param means: shape (batch, actions)
    :param log_std: logarithms of standard deviations, of the same shape
    :param draws: standard normal numbers, of the same shape
    :return: actions between -1 and 1, and their log-probabilities of shape (batch,)
    """
    gaussian = means + jnp.exp(log_std) * draws
    log_prob = (-0.5 * draws**2 - log_std - 0.5 * math.log(2 * math.pi)).sum(1)
    decay = jnp.exp(-2 * jnp.abs(gaussian))
    slope = 4 * decay / (1 + decay) ** 2  # 1 - tanh², without the difference of two numbers near 1
    return jnp.tanh(gaussian), log_prob - jnp.log(slope + SQUASH_EPSILON).sum(1)
