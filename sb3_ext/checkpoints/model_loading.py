"""Load a model without running code from its files; pickles are read only with ``trust``."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from stable_baselines3.common.base_class import BaseAlgorithm
from stable_baselines3.common.type_aliases import GymEnv

from sb3_ext.algorithms.algorithm_registry import BUILT_IN, get_algorithm
from sb3_ext.checkpoints.bundle.bundle import Bundle
from sb3_ext.checkpoints.formats.weights import Weights, read_weights_file
from sb3_ext.checkpoints.model.architecture import ModelDescription
from sb3_ext.checkpoints.model.assembly import build_model, load_weights
from sb3_ext.checkpoints.model.stock_zip import load_foreign_model
from sb3_ext.checkpoints.model.trust import read_tensors
from sb3_ext.checkpoints.model_source import ModelSource, find_model
from sb3_ext.errors import CheckpointError, ConfigError
from sb3_ext.internals.sb3 import wrap_env


def load_model(
    source: str | Path | ModelSource,
    *,
    env: GymEnv | None = None,
    device: torch.device | str = "auto",
    trust: bool = False,
    algorithm: str | type[BaseAlgorithm] | None = None,
) -> BaseAlgorithm:
    """
    Load a model to play with, or to train further with fresh optimizers; to continue a run, resume it.

    :param source: a run directory or the name of a run below ``runs`` (its best checkpoint, else its latest), a
        checkpoint's directory or its ``model.zip``, or any zip saved by SB3
    :param env: environments for the model; required for a zip that is not a checkpoint of this package
    :param device: device of the model
    :param trust: load everything as stock SB3 does, which **runs any code that the file contains**
    :param algorithm: algorithm of a zip that is not a checkpoint of this package: an id such as ``ppo``, or the class
    :return: the model
    :raises CheckpointError: if it is damaged, malicious, does not fit, or cannot be loaded without ``trust``
    """
    found = find_model(source)
    if (bundle := found.bundle) is not None:
        chosen = _find_class(algorithm) if algorithm else _find_described_class(bundle.manifest.model, trust)
        if trust:
            return _load_pickled(bundle.model_path, chosen, env, device)
        return _load_bundle(bundle, chosen, env, device)
    path = found.path
    if algorithm is None:
        raise CheckpointError(f"{path} does not contain its algorithm: give algorithm, such as 'ppo'")
    chosen = _find_class(algorithm)
    if trust:
        return _load_pickled(path, chosen, env, device)
    if env is None:
        raise CheckpointError(
            f"{path} contains its spaces only as a pickle, which is not read: give env, or trust=True"
        )
    return load_foreign_model(path, chosen, wrap_env(env), device)


load = load_model  # its name in sb3_ext


def restore_weights(model: BaseAlgorithm, source: str | Path | ModelSource) -> None:
    """
    Copy only the weights into a model. Pickles are not read.

    :param model: a model with the same architecture
    :param source: see :func:`load_model`
    :raises CheckpointError: if they do not fit, or cannot be read
    """
    load_weights(model, read_policy_weights(find_model(source)))


def read_policy_weights(source: ModelSource) -> Mapping[str, Any]:
    """
    :param source: the files of a model
    :return: the policy's state dict on the CPU; that of a zip may contain other plain values
    :raises CheckpointError: if it cannot be read
    """
    return read_tensors(source.path, "policy") if source.bundle is None else read_weights(source.bundle)


def read_weights(bundle: Bundle) -> Weights:
    """
    :param bundle: a bundle
    :return: the policy's state dict on the CPU, with shared tensors under each of their names
    :raises CheckpointError: if it cannot be read
    """
    return read_weights_file(bundle.weights_path)


def _load_bundle(
    bundle: Bundle, algorithm_class: type[BaseAlgorithm], env: GymEnv | None, device: torch.device | str
) -> BaseAlgorithm:
    described = bundle.manifest.model
    if described.own_code or described.policy is None:
        what = ", ".join(described.own_code) or described.policy_class
        raise CheckpointError(
            f"checkpoint {bundle.path} needs its own code ({what}): load it with trust, if you trust its source"
        )
    wrapped = None if env is None else wrap_env(env)
    return build_model(algorithm_class, described, read_weights(bundle), env=wrapped, device=device)


def _load_pickled(
    path: Path, algorithm_class: type[BaseAlgorithm], env: GymEnv | None, device: torch.device | str
) -> BaseAlgorithm:
    try:
        return algorithm_class.load(path, env=env, device=device)
    except Exception as error:  # the pickles can raise anything
        reason = f"{type(error).__name__}: {error}".splitlines()[0]
        raise CheckpointError(f"{path} cannot be loaded as a {algorithm_class.__name__}: {reason}") from error


def _find_class(algorithm: str | type[BaseAlgorithm]) -> type[BaseAlgorithm]:
    if not isinstance(algorithm, str):
        return algorithm
    try:
        return (BUILT_IN.get(algorithm) or get_algorithm(algorithm)).load_class()
    except ConfigError as error:
        raise CheckpointError(str(error).removeprefix("agent.id: ")) from error


def _find_described_class(described: ModelDescription, trust: bool) -> type[BaseAlgorithm]:
    if described.algorithm in BUILT_IN:
        return _find_class(str(described.algorithm))
    if not trust:
        name = described.algorithm_class[:80]
        raise CheckpointError(
            f"the checkpoint needs its own code (algorithm {name}): load it with trust, if you trust its source"
        )
    module, _, name = described.algorithm_class.rpartition(".")
    try:
        loaded: Any = getattr(importlib.import_module(module), name)
    except (ImportError, AttributeError) as error:
        raise CheckpointError(f"algorithm {described.algorithm_class} cannot be imported: {error}") from error
    return loaded  # type: ignore[no-any-return]
