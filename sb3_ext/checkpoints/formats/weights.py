"""Tensors as safetensors: loadable without running code, each stored once under all its names."""

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
    Every tensor once, under its first name; the metadata has ``aliases``, a JSON object from each further name to the
    first.

    :param weights: tensors by name; policies have some under several names
    :return: the file's content
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
    :param path: what :func:`serialize_weights` has made, perhaps a stranger
    :return: on the CPU, shared tensors under each of their names
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
