"""A trained agent as an MLflow model, which predicts actions from raw observations."""

from __future__ import annotations

import importlib.metadata
import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from gymnasium import spaces
from stable_baselines3.common.vec_env import VecEnv

from sb3_ext.agents.raw_observations import ObservationPath, ObservationPipeline, find_observation_path
from sb3_ext.algorithms.algorithm_registry import BUILT_IN, get_algorithm
from sb3_ext.atomic import write_json
from sb3_ext.checkpoints.bundle.bundle import Bundle, copy_for_playing
from sb3_ext.checkpoints.formats.space_json import make_space
from sb3_ext.checkpoints.model_loading import load_model
from sb3_ext.checkpoints.model_source import find_model
from sb3_ext.errors import CheckpointError
from sb3_ext.selfplay.opponents.observation_statistics import make_normalize

OBSERVATION, ACTION_MASK, EPISODE_START = "observation", "action_mask", "episode_start"
"""The inputs of an agent that needs more than observations."""

_CHECKPOINT, _PATH = "checkpoint", "observations.json"
_RECURRENT = "recurrent_ppo"

_REQUIREMENTS = ("gymnasium", "numpy", "safetensors", "sb3-contrib", "sb3-ext", "stable-baselines3", "torch")


class RegisteredModel:
    """
    A trained agent for ``mlflow.pyfunc.load_model``. Loading it runs no code from the checkpoint.

    An agent with a frame stack, or with a recurrent policy, keeps frames and states of each row of the batch from one
    call of :meth:`predict` to the next: row ``i`` of every call is the same environment, ``episode_start`` says which
    rows begin an episode, and all begin one when the size of the batch changes. Load it once for each client, and do
    not serve it from several processes.

    :param folder: directory of the checkpoint, and of the description of its observations
    :raises CheckpointError: if it is damaged, or contains custom code
    """

    def __init__(self, folder: Path) -> None:
        source = find_model(folder / _CHECKPOINT)
        if source.bundle is None:
            raise CheckpointError(f"{folder}: is not a checkpoint")
        path = ObservationPath.from_json(json.loads((folder / _PATH).read_bytes()))
        self._model = load_model(source, device="cpu")
        self._pipeline = ObservationPipeline(path, make_normalize(source.bundle.read_normalization()))
        self._needs_masks = _needs_masks(source.bundle)
        self._needs_starts = _needs_starts(source.bundle, path)
        self._is_dict = isinstance(path.space, spaces.Dict)
        self._rows: int | None = None
        self._state: Any = None

    def predict(self, model_input: Any, params: Mapping[str, Any] | None = None) -> np.ndarray[Any, Any]:
        """
        Predict deterministic actions.

        :param model_input: a batch of observations of the environment, before normalisation: an array, or for ``Dict``
            spaces arrays by key. An agent that needs the legal actions takes a mapping with ``observation`` and
            ``action_mask``, of shape ``(batch, actions)``; one with a frame stack or a recurrent policy takes
            ``episode_start``, of shape ``(batch,)``, beside ``observation`` or the keys of the ``Dict`` space
        :param params: ignored; part of MLflow's interface
        :return: the actions, one row per observation
        :raises ValueError: if the size of the batch has changed and not all episodes begin
        """
        given: dict[str, Any] = {}
        starts: Any = np.ones(0, dtype=bool)
        if self._needs_masks:
            given["action_masks"] = np.asarray(model_input[ACTION_MASK], dtype=bool)
        if self._needs_starts:
            starts = np.asarray(model_input[EPISODE_START], dtype=bool).reshape(-1)
            if len(starts) != self._rows and not starts.all():
                raise ValueError(
                    f"episode_start: the batch has {len(starts)} rows, but the last one had {self._rows or 'none'}; "
                    "all episodes begin then"
                )
            self._rows = len(starts)
            given |= {"state": self._state, "episode_start": starts}
        if self._is_dict:
            model_input = {name: value for name, value in model_input.items() if name != EPISODE_START}
        elif self._needs_masks or self._needs_starts:
            model_input = model_input[OBSERVATION]
        observations = self._pipeline.convert(model_input, starts)
        actions, self._state = self._model.predict(observations, deterministic=True, **given)
        return np.asarray(actions)


def write_mlflow_model(bundle: Bundle, env: VecEnv, path: Path) -> None:
    """
    Write a folder that MLflow can load: with signature, input example, and the exact versions that it needs.

    :param bundle: a checkpoint
    :param env: environments like those of its training, with all their wrappers
    :param path: the folder, which is replaced
    :raises CheckpointError: if the agent contains custom code, or its inputs cannot be described to MLflow
    """
    import mlflow.pyfunc
    from mlflow.models.signature import ModelSignature
    from mlflow.types.schema import Schema, TensorSpec

    described = bundle.manifest.model
    if described.own_code or described.policy is None or described.algorithm not in BUILT_IN:
        raise CheckpointError("an agent with custom code cannot be registered: loading it would run that code")
    observation_path = find_observation_path(env)
    example = _make_example(bundle, observation_path)
    names = {None: example} if isinstance(example, np.ndarray) else example
    inputs = Schema([TensorSpec(value.dtype, (-1, *value.shape[1:]), name) for name, value in names.items()])
    actions = make_space(described.action_space)
    outputs = Schema([TensorSpec(np.dtype(actions.dtype), (-1, *(actions.shape or ())))])
    data = path.with_name(f"{path.name}-data")
    for folder in (path, data):
        shutil.rmtree(folder, ignore_errors=True)
    try:
        copy_for_playing(bundle, data / _CHECKPOINT)
        write_json(data / _PATH, observation_path.to_json(), durable=False)
        mlflow.pyfunc.save_model(
            str(path),
            loader_module=__name__,
            data_path=str(data),
            signature=ModelSignature(inputs=inputs, outputs=outputs),
            input_example=example,
            pip_requirements=[f"{name}=={_read_version(name)}" for name in _REQUIREMENTS],
            metadata={"step": bundle.step, "algorithm": described.algorithm},
        )
    finally:
        shutil.rmtree(data, ignore_errors=True)


def _load_pyfunc(path: str) -> RegisteredModel:
    """MLflow calls this function by its name."""
    return RegisteredModel(Path(path))


def _needs_masks(bundle: Bundle) -> bool:
    algorithm = bundle.manifest.model.algorithm
    return algorithm is not None and get_algorithm(algorithm).needs_action_masks


def _needs_starts(bundle: Bundle, path: ObservationPath) -> bool:
    return path.frame_stack is not None or bundle.manifest.model.algorithm == _RECURRENT


def _make_example(bundle: Bundle, path: ObservationPath) -> Any:
    observation = _make_zeros(path.space)
    more: dict[str, Any] = {}
    if _needs_starts(bundle, path):
        more[EPISODE_START] = np.ones(1, dtype=bool)
    if _needs_masks(bundle):
        actions = make_space(bundle.manifest.model.action_space)
        if not isinstance(actions, spaces.Discrete) or not isinstance(observation, np.ndarray):
            raise CheckpointError(
                "action masks are supported only for Discrete actions and observations other than Dict"
            )
        more[ACTION_MASK] = np.ones((1, int(actions.n)), dtype=bool)
    if not more:
        return observation
    return {**(observation if isinstance(observation, dict) else {OBSERVATION: observation}), **more}


def _make_zeros(space: spaces.Space[Any]) -> Any:
    if isinstance(space, spaces.Dict):
        return {name: _make_zeros(part) for name, part in space.spaces.items()}
    return np.zeros((1, *(space.shape or ())), dtype=space.dtype)


def _read_version(name: str) -> str:
    return importlib.metadata.version(name).partition("+")[0]
