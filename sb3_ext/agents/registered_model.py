"""A trained agent as an MLflow model, which predicts actions from raw observations."""

from __future__ import annotations

import importlib.metadata
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from gymnasium import spaces

from sb3_ext.algorithms.algorithm_registry import BUILT_IN, get_algorithm
from sb3_ext.checkpoints.bundle.bundle import Bundle, copy_for_playing
from sb3_ext.checkpoints.formats.space_json import make_space
from sb3_ext.checkpoints.model_loading import load_model
from sb3_ext.checkpoints.model_source import find_model
from sb3_ext.errors import CheckpointError
from sb3_ext.selfplay.opponents.observation_statistics import make_normalize

OBSERVATION, ACTION_MASK = "observation", "action_mask"
"""The inputs of an agent that needs the legal actions."""

_REQUIREMENTS = ("gymnasium", "numpy", "safetensors", "sb3-contrib", "sb3-ext", "stable-baselines3", "torch")


class RegisteredModel:
    """
    A trained agent for ``mlflow.pyfunc.load_model``. Loading it runs no code from the checkpoint.

    :param folder: directory of the checkpoint
    :raises CheckpointError: if it is damaged, or contains custom code
    """

    def __init__(self, folder: Path) -> None:
        source = find_model(folder)
        if source.bundle is None:
            raise CheckpointError(f"{folder}: is not a checkpoint")
        self._model = load_model(source, device="cpu")
        self._normalize = make_normalize(source.bundle.read_normalization())
        self._needs_masks = _needs_masks(source.bundle)

    def predict(self, model_input: Any, params: Mapping[str, Any] | None = None) -> np.ndarray[Any, Any]:
        """
        Predict deterministic actions.

        :param model_input: a batch of observations of the environment, before normalisation: an array, or for ``Dict``
            spaces arrays by key. An agent that needs the legal actions takes a mapping with ``observation`` and
            ``action_mask``, of shape ``(batch, actions)``
        :param params: ignored; part of MLflow's interface
        :return: the actions, one row per observation
        """
        given: dict[str, Any] = {}
        if self._needs_masks:
            given["action_masks"] = np.asarray(model_input[ACTION_MASK], dtype=bool)
            model_input = model_input[OBSERVATION]
        actions, _ = self._model.predict(self._normalize(model_input), deterministic=True, **given)
        return np.asarray(actions)


def write_mlflow_model(bundle: Bundle, path: Path) -> None:
    """
    Write a folder that MLflow can load: with signature, input example, and the exact versions that it needs.

    :param bundle: a checkpoint
    :param path: the folder, which is replaced
    :raises CheckpointError: if the agent contains custom code, or is recurrent
    """
    import mlflow.pyfunc
    from mlflow.models.signature import ModelSignature
    from mlflow.types.schema import Schema, TensorSpec

    described = bundle.manifest.model
    if described.own_code or described.policy is None or described.algorithm not in BUILT_IN:
        raise CheckpointError("an agent with custom code cannot be registered: loading it would run that code")
    if described.algorithm == "recurrent_ppo":
        raise CheckpointError("a recurrent agent cannot act on single observations")
    example = _make_example(bundle)
    names = {None: example} if isinstance(example, np.ndarray) else example
    inputs = Schema([TensorSpec(value.dtype, (-1, *value.shape[1:]), name) for name, value in names.items()])
    actions = make_space(described.action_space)
    outputs = Schema([TensorSpec(np.dtype(actions.dtype), (-1, *(actions.shape or ())))])
    checkpoint = path.with_name(f"{path.name}-checkpoint")
    for folder in (path, checkpoint):
        shutil.rmtree(folder, ignore_errors=True)
    try:
        copy_for_playing(bundle, checkpoint)
        mlflow.pyfunc.save_model(
            str(path),
            loader_module=__name__,
            data_path=str(checkpoint),
            signature=ModelSignature(inputs=inputs, outputs=outputs),
            input_example=example,
            pip_requirements=[f"{name}=={_read_version(name)}" for name in _REQUIREMENTS],
            metadata={"step": bundle.step, "algorithm": described.algorithm},
        )
    finally:
        shutil.rmtree(checkpoint, ignore_errors=True)


def _load_pyfunc(path: str) -> RegisteredModel:
    """MLflow calls this function by its name."""
    return RegisteredModel(Path(path))


def _needs_masks(bundle: Bundle) -> bool:
    algorithm = bundle.manifest.model.algorithm
    return algorithm is not None and get_algorithm(algorithm).needs_action_masks


def _make_example(bundle: Bundle) -> Any:
    described = bundle.manifest.model
    observation = _make_zeros(make_space(described.observation_space))
    if not _needs_masks(bundle):
        return observation
    actions = make_space(described.action_space)
    if not isinstance(actions, spaces.Discrete) or not isinstance(observation, np.ndarray):
        raise CheckpointError("action masks are supported only for Discrete actions and observations other than Dict")
    return {OBSERVATION: observation, ACTION_MASK: np.ones((1, int(actions.n)), dtype=bool)}


def _make_zeros(space: spaces.Space[Any]) -> Any:
    if isinstance(space, spaces.Dict):
        return {name: _make_zeros(part) for name, part in space.spaces.items()}
    return np.zeros((1, *(space.shape or ())), dtype=space.dtype)


def _read_version(name: str) -> str:
    return importlib.metadata.version(name).partition("+")[0]
