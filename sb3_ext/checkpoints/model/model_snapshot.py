"""Copy a model between two rollouts, to write it as ``model.zip`` and ``weights.safetensors`` later."""

from __future__ import annotations

import copy
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from io import BufferedRandom
from typing import Any

import torch
from stable_baselines3.common.base_class import BaseAlgorithm
from stable_baselines3.common.save_util import data_to_json, recursive_getattr, save_to_zip_file

from sb3_ext.checkpoints.formats.weights import serialize_weights
from sb3_ext.errors import CheckpointError
from sb3_ext.internals.sb3 import get_torch_names, get_unsaved_names


@dataclass(frozen=True)
class ModelSnapshot:
    """
    A copy of what stock ``model.save`` writes; it shares no memory with the model.

    :param data: the model's attributes as SB3's JSON
    :param parameters: state dicts by name, such as ``policy`` and ``policy.optimizer``, on the CPU
    :param variables: tensors outside of modules, such as SAC's ``log_ent_coef``
    """

    data: str
    parameters: dict[str, dict[str, Any]]
    variables: dict[str, torch.Tensor]

    def write_zip(self, file: BufferedRandom) -> None:
        """
        Write a zip that ``PPO.load`` reads.

        :param file: empty file, open for reading and writing
        """
        save_to_zip_file(file, params=self.parameters, pytorch_variables=self.variables)
        with zipfile.ZipFile(file, "a") as archive:
            archive.writestr("data", self.data)

    def serialize_weights(self) -> bytes:
        """
        Serialize the policy's tensors; see :func:`~sb3_ext.checkpoints.formats.weights.serialize_weights`.

        :return: content of the file
        """
        return serialize_weights(self.parameters["policy"])


def capture_model(model: BaseAlgorithm) -> ModelSnapshot:
    """
    Copy what a stock save writes, without compressing or writing it.

    :param model: the model, between two rollouts
    :return: the copy
    :raises CheckpointError: if the model has an attribute that cannot be pickled, as in a stock save
    """
    state_dicts, variables = get_torch_names(model)
    torch_attributes = {name.partition(".")[0] for name in (*state_dicts, *variables)}
    left_out = torch_attributes.union(get_unsaved_names(model))
    try:
        data = data_to_json({name: value for name, value in vars(model).items() if name not in left_out})
    except Exception as error:  # the code of an attribute can raise anything
        reason = f"{type(error).__name__}: {error}".splitlines()[0]
        raise CheckpointError(f"the model has an attribute that cannot be saved: {reason}") from error
    copied: dict[tuple[Any, ...], torch.Tensor] = {}
    return ModelSnapshot(
        data=data,
        parameters=_copy_tensors(model.get_parameters(), copied),
        variables={name: _copy_tensors(recursive_getattr(model, name), copied) for name in variables},
    )


def _copy_tensors(value: Any, copied: dict[tuple[Any, ...], torch.Tensor]) -> Any:
    """Copy shared tensors once, so that they are also written once."""
    if isinstance(value, torch.Tensor):
        key = (value.data_ptr(), value.dtype, value.shape, value.stride())
        if value.numel() == 0 or key not in copied:
            copied[key] = value.detach().to("cpu", copy=True)
        return copied[key]
    if isinstance(value, Mapping):
        copy_of_mapping: Any = copy.copy(value)  # keeps a state dict's own attributes
        for name, member in value.items():
            copy_of_mapping[name] = _copy_tensors(member, copied)
        return copy_of_mapping
    if isinstance(value, list | tuple):
        return type(value)(_copy_tensors(member, copied) for member in value)
    return value
