"""SB3-Contrib's loss for quantiles, with its gradient."""

from __future__ import annotations

import torch


def compare_quantiles(quantiles: torch.Tensor, targets: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """
    Compute SB3-Contrib's ``quantile_huber_loss`` of each pair, summed over the pairs of a quantile.

    :param quantiles: shape (..., quantiles)
    :param targets: shape (..., targets)
    :return: loss, and its gradient with respect to the quantiles, both of shape (..., quantiles)
    """
    count = quantiles.shape[-1]
    probabilities = (torch.arange(count, device=quantiles.device, dtype=torch.float32) + 0.5).div_(count)
    errors = targets.unsqueeze(-2) - quantiles.unsqueeze(-1)
    weights = (probabilities[:, None] - (errors < 0).float()).abs_()
    slopes = errors.clamp(-1, 1)
    # Huber's loss: error² / 2 within 1, else |error| - 1/2
    loss = errors.sub_(slopes * 0.5).mul_(slopes).mul_(weights)
    return loss.sum(-1), slopes.mul_(weights).sum(-1).neg_()
