"""Tensors in safetensors files, which load without running code; shared tensors are stored once."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save

from sb3_ext.errors import CheckpointError

Weights = Mapping[str, torch.Tensor]


def serialize_weights(weights: Weights) -> bytes:
    """
    Serialize tensors, each under its first name. The metadata ``aliases`` maps further names to the first one.

    :param weights: tensors by name; several names may share a tensor
    :return: content of the file
    """
    first_names: dict[tuple[object, ...], str] = {}
    aliases: dict[str, str] = {}
    tensors: dict[str, torch.Tensor] = {}
    for name, tensor in weights.items():
        place = (tensor.data_ptr(), tensor.dtype, tensor.shape, tensor.stride())
        first = first_names.setdefault(place, name) if tensor.numel() else name
        if first == name:
            tensors[name] = tensor.detach().cpu().contiguous()
        else:
            aliases[name] = first
    return bytes(save(tensors, {"aliases": json.dumps(aliases)}))


def read_weights_file(path: Path) -> dict[str, torch.Tensor]:
    """
    :param path: file of :func:`serialize_weights`, which may be untrusted
    :return: tensors on the CPU, with shared tensors under each of their names
    :raises CheckpointError: if it cannot be read
    """
    try:
        with safe_open(path, framework="pt") as file:
            names = file.keys()
            tensors = {name: file.get_tensor(name) for name in names}
            aliases = json.loads((file.metadata() or {}).get("aliases", "{}"))
        return {**tensors, **{alias: tensors[name] for alias, name in aliases.items()}}
    except (SafetensorError, OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise CheckpointError(f"{path} cannot be read ({type(error).__name__})") from error
