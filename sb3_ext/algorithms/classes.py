"""Find the classes that ``agent.params`` names: by a known name, or as ``module:Name``."""

from __future__ import annotations

from collections.abc import Iterator
from types import ModuleType
from typing import Any

from sb3_ext.arguments import import_name
from sb3_ext.problems import suggest_name


def find_named_class(name: str) -> Any:
    """
    Find a class for an algorithm's or a policy's argument.

    :param name: a public name of ``torch.nn``, ``torch.optim`` or SB3's buffers and feature extractors, such as
        ``ReLU``, ``RMSprop``, ``HerReplayBuffer`` or ``NatureCNN``, or ``ImpalaCNN`` or ``BoardCNN``; any other as
        ``module:Name``
    :return: the class (or function, for ``torch.nn``'s activation functions)
    :raises LookupError: with a message for the user
    """
    if ":" in name or "." in name:
        return import_name(name)
    for module in _known_modules():
        if hasattr(module, name):
            return getattr(module, name)
    known = {public for module in _known_modules() for public in dir(module) if public[0].isupper()}
    raise LookupError(f"unknown class '{name}'; {suggest_name(name, known)} A class of your own is 'module:Name'")


def _known_modules() -> Iterator[ModuleType]:
    import torch
    from stable_baselines3 import her
    from stable_baselines3.common import buffers, torch_layers
    from stable_baselines3.common.sb2_compat import rmsprop_tf_like

    from sb3_ext.algorithms import board_buffers, board_networks, impala

    yield from (
        torch.nn,
        torch.optim,
        buffers,
        her,
        torch_layers,
        rmsprop_tf_like,
        impala,
        board_networks,
        board_buffers,
    )
