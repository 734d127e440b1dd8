"""Put a bundle of one's own run back into a model that was made by the same configuration."""

from __future__ import annotations

from typing import Any

from stable_baselines3.common.base_class import BaseAlgorithm
from stable_baselines3.common.save_util import recursive_getattr

from sb3_ext.checkpoints.bundle.bundle import Bundle
from sb3_ext.checkpoints.bundle.replay_files import restore_replay
from sb3_ext.checkpoints.formats.vecnormalize_file import restore_normalization
from sb3_ext.checkpoints.model.trust import list_state_dicts, read_tensors
from sb3_ext.checkpoints.state.replay_buffer import ReplayIndex
from sb3_ext.errors import CheckpointError

_VARIABLES = "pytorch_variables"


def restore_model(model: BaseAlgorithm, bundle: Bundle) -> ReplayIndex | None:
    """
    Weights, optimizers, normalisation statistics and replay buffer, to the bit. The rest of an exact resume is
    :mod:`sb3_ext.checkpoints.state.training_state`'s.

    :param model: newly made, with its environments, by the configuration that the bundle's model was made by
    :param bundle: verified, of one's own: HER's info dictionaries are pickled
    :return: what ``continue_from`` needs; ``None`` without a replay buffer
    :raises CheckpointError: if the model or its environments are others
    """
    trained = bundle.manifest.model.algorithm_class.rpartition(".")[2]
    if trained != type(model).__name__:
        raise CheckpointError(f"checkpoint {bundle.path} is of a {trained}, but the model is a {type(model).__name__}")
    _restore_parameters(model, bundle)
    normalize, statistics = model.get_vec_normalize_env(), bundle.read_normalization()
    if (normalize is None) != (statistics is None):
        has, lacks = ("checkpoint", "model") if normalize is None else ("model", "checkpoint")
        raise CheckpointError(
            f"checkpoint {bundle.path} does not fit: the {has} has a VecNormalize, the {lacks} has none"
        )
    if normalize is not None and statistics is not None:
        restore_normalization(normalize, statistics)
    buffer = getattr(model, "replay_buffer", None)
    return restore_replay(buffer, bundle.path) if buffer is not None and bundle.has_replay else None


def _restore_parameters(model: BaseAlgorithm, bundle: Bundle) -> None:
    path = bundle.model_path
    parameters: dict[str, Any] = {name: read_tensors(path, name) for name in list_state_dicts(path)}
    variables = parameters.pop(_VARIABLES, {})
    try:
        model.set_parameters(parameters, exact_match=True, device=model.device)
    except (RuntimeError, ValueError) as error:
        reason = str(error).splitlines()[0]
        raise CheckpointError(f"checkpoint {bundle.path} does not fit the model: {reason}") from error
    for name, variable in variables.items():
        recursive_getattr(model, name).data.copy_(variable.data)
