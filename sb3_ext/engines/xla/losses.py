"""Losses of SB3 and SB3-Contrib, and gradient clipping."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp


def compute_huber_loss(errors: Any) -> Any:
    """
    :param errors: array of any shape
    :return: torch's ``smooth_l1_loss`` of each error
    """
    size = jnp.abs(errors)
    return jnp.where(size < 1, 0.5 * errors**2, size - 0.5)


def compute_quantile_loss(quantiles: Any, targets: Any) -> Any:
    """
    Compute SB3-Contrib's ``quantile_huber_loss`` without averaging.

    :param quantiles: shape (…, quantiles)
    :param targets: shape (…, targets)
    :return: shape (…, quantiles, targets)
    """
    count = quantiles.shape[-1]
    probabilities = ((jnp.arange(count, dtype=jnp.float32) + 0.5) / count)[:, None]
    errors = targets[..., None, :] - quantiles[..., :, None]
    size = jnp.abs(errors)
    loss = jnp.where(size > 1, size - 0.5, 0.5 * errors**2)
    is_negative = (jax.lax.stop_gradient(errors) < 0).astype(jnp.float32)
    return jnp.abs(probabilities - is_negative) * loss


def clip_gradient(gradient: Any, bound: Any) -> Any:
    """
    :param gradient: flat gradient
    :param bound: upper bound of its norm
    :return: the gradient, clipped as by torch's ``clip_grad_norm_``
    """
    norm = jnp.sqrt((gradient**2).sum())
    return gradient * jnp.minimum(bound / (norm + 1e-6), 1.0)
