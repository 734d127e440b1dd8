"""Keep the parameters of all ranks equal: copy those of rank 0 at the start, and compare them from time to time."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator

import torch
from stable_baselines3.common.base_class import BaseAlgorithm
from stable_baselines3.common.save_util import recursive_getattr

from sb3_ext.errors import RankLostError
from sb3_ext.internals.sb3 import get_torch_names
from sb3_ext.ranks.rank_group import RankGroup


class DifferentParametersError(RankLostError):
    """The ranks have different parameters, so that their gradients can no longer be averaged."""


def copy_parameters(group: RankGroup, model: BaseAlgorithm) -> None:
    """
    Replace the parameters of a model, and of its target networks, by those of rank 0.

    :param group: the ranks
    :param model: a model of the same algorithm and architecture on all ranks
    :raises RankLostError: if a rank has ended
    """
    for tensor in list_parameters(model):
        group.copy_from_leader(tensor)


def compute_digest(model: BaseAlgorithm) -> str:
    """
    :param model: any model
    :return: hash of all its parameters, bit by bit
    """
    digest = hashlib.blake2b(digest_size=16)
    for tensor in list_parameters(model):
        digest.update(tensor.cpu().contiguous().view(torch.uint8).numpy().data)
    return digest.hexdigest()


def validate_equal_parameters(group: RankGroup, model: BaseAlgorithm) -> None:
    """
    Check that all ranks have the same parameters.

    :param group: the ranks
    :param model: the model of this rank
    :raises DifferentParametersError: if they differ
    :raises RankLostError: if a rank has ended
    """
    digests = group.gather(compute_digest(model))
    different = [rank for rank, digest in enumerate(digests) if digest != digests[0]]
    if different:
        names = ", ".join(map(str, different))
        raise DifferentParametersError(
            f"the parameters of rank {names} differ from those of rank 0 at step {model.num_timesteps}; "
            "are processors or versions of torch different, or does code change the model on one rank only?"
        )


def list_parameters(model: BaseAlgorithm) -> Iterator[torch.Tensor]:
    """
    :param model: any model
    :return: all weights of its networks, and tensors outside of them such as SAC's entropy coefficient
    """
    modules, tensors = get_torch_names(model)
    for name in modules:
        module = recursive_getattr(model, name)
        if isinstance(module, torch.nn.Module):
            yield from (tensor.detach() for tensor in module.state_dict().values() if tensor.numel())
    yield from (recursive_getattr(model, name).detach() for name in tensors)
