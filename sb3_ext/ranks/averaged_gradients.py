"""Average gradients over the ranks when a backward pass ends, before SB3 clips them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager

import torch

from sb3_ext.internals.torch import call_after_backward
from sb3_ext.ranks.rank_group import RankGroup


@contextmanager
def averaging_gradients(group: RankGroup, optimizers: Iterable[torch.optim.Optimizer]) -> Iterator[None]:
    """
    Average the gradients of each backward pass in the block over all ranks, in one message.

    All ranks must call ``backward`` on the same losses in the same order, each of a minibatch of the same size.

    :param group: the ranks
    :param optimizers: optimizers of the parameters
    """
    parameters = list({id(tensor): tensor for optimizer in optimizers for tensor in _list_tensors(optimizer)}.values())
    touched: set[int] = set()

    def average() -> None:
        gradients = [tensor.grad for tensor in parameters if id(tensor) in touched and tensor.grad is not None]
        touched.clear()
        flat = torch.cat([gradient.flatten() for gradient in gradients])
        group.sum(flat)
        flat /= group.size
        parts = torch.split(flat, [gradient.numel() for gradient in gradients])
        for gradient, part in zip(gradients, parts, strict=True):
            gradient.copy_(part.view_as(gradient))

    def note(tensor: torch.Tensor) -> None:
        if not touched:
            call_after_backward(average)
        touched.add(id(tensor))

    hooks = [tensor.register_post_accumulate_grad_hook(note) for tensor in parameters]  # type: ignore[no-untyped-call]
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()


def _list_tensors(optimizer: torch.optim.Optimizer) -> Iterator[torch.Tensor]:
    return (tensor for section in optimizer.param_groups for tensor in section["params"] if tensor.requires_grad)
