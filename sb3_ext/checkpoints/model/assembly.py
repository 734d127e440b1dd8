"""Build a model from its plain description, which may be untrusted."""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from stable_baselines3.common.base_class import BaseAlgorithm
from stable_baselines3.common.utils import check_for_correct_spaces
from stable_baselines3.common.vec_env import VecEnv
from torch.nn.modules.module import register_module_parameter_registration_hook

from sb3_ext.checkpoints.formats.space_json import make_space
from sb3_ext.checkpoints.formats.weights import Weights
from sb3_ext.checkpoints.model.architecture import LEFT_OUT, ModelDescription, find_class
from sb3_ext.errors import CheckpointError
from sb3_ext.internals.sb3 import NO_SETUP_ARGUMENT, set_up_model

_CLASS_ARGUMENTS = ("activation_fn", "features_extractor_class", "optimizer_class", "replay_buffer_class")
_LARGEST_BUFFER = 20_000_000


def build_model(
    algorithm_class: type[BaseAlgorithm],
    description: ModelDescription,
    weights: Weights,
    *,
    env: VecEnv | None,
    device: torch.device | str,
) -> BaseAlgorithm:
    """
    Build a model as stock ``load`` does, but from plain values, and load its weights.

    :param algorithm_class: a class of SB3 or SB3-Contrib
    :param description: description of the model
    :param weights: the policy's state dict
    :param env: environments, wrapped as SB3 wraps them
    :param device: device of the model
    :return: the model, with fresh optimizers
    :raises CheckpointError: if the description does not fit the class, the weights or the environments
    """
    if description.policy not in algorithm_class.policy_aliases:
        known = ", ".join(algorithm_class.policy_aliases)
        raise CheckpointError(f"{algorithm_class.__name__} has no policy {description.policy!r:.40}, only {known}")
    observation_space, action_space = make_space(description.observation_space), make_space(description.action_space)
    attributes = _resolve_arguments(algorithm_class, description.arguments)
    attributes["policy_kwargs"] = _resolve_classes(description.policy_arguments)
    try:
        make: Any = algorithm_class
        model = make(description.policy, env, device=device, **{NO_SETUP_ARGUMENT: False})
        if env is None:
            model.observation_space, model.action_space = observation_space, action_space
            model.n_envs = description.num_envs
        else:
            check_for_correct_spaces(env, observation_space, action_space)
        vars(model).update(attributes)
        with _limit_parameters(_count_numbers(weights)):
            set_up_model(model)
        load_weights(model, weights)
        if model.use_sde:
            model.policy.reset_noise()
    except CheckpointError:
        raise
    except Exception as error:  # constructors can raise anything on invalid values
        raise CheckpointError(f"the model cannot be built from its description: {_summarize(error)}") from error
    return model  # type: ignore[no-any-return]


def load_weights(model: BaseAlgorithm, weights: Weights) -> None:
    """
    Copy a policy's tensors into a model.

    :param model: a model whose policy has the same architecture
    :param weights: the state dict
    :raises CheckpointError: if names or shapes differ; the model is then unchanged
    """
    expected = model.policy.state_dict()
    names = expected.keys() ^ weights.keys()
    if names:
        where = "the checkpoint" if next(iter(sorted(names))) in expected else "the model"
        raise CheckpointError(f"the weights do not fit the model: {where} has no {sorted(names)[0][:80]}")
    for name, tensor in expected.items():
        if not isinstance(weights[name], torch.Tensor) or weights[name].shape != tensor.shape:
            found = list(getattr(weights[name], "shape", []))
            raise CheckpointError(
                f"the weights do not fit the model: {name} has shape {found}, expected {list(tensor.shape)}"
            )
    model.policy.load_state_dict(weights)


def _resolve_arguments(algorithm_class: type[BaseAlgorithm], arguments: Mapping[str, Any]) -> dict[str, Any]:
    unknown = set(arguments) - (set(inspect.signature(algorithm_class).parameters) - set(LEFT_OUT))
    if unknown:
        raise CheckpointError(f"{algorithm_class.__name__} takes no argument {sorted(unknown)[0][:40]!r}")
    resolved = _resolve_classes(arguments)
    if isinstance(resolved.get("train_freq"), list):
        resolved["train_freq"] = tuple(resolved["train_freq"])
    if not isinstance(size := resolved.get("buffer_size", 1), int) or size > _LARGEST_BUFFER:
        raise CheckpointError(f"buffer_size is {str(size)[:40]}, more than {_LARGEST_BUFFER}")
    return resolved


def _resolve_classes(arguments: Mapping[str, Any]) -> dict[str, Any]:
    resolved = dict(arguments)
    for name in _CLASS_ARGUMENTS:
        if isinstance(value := arguments.get(name), str):
            resolved[name] = find_class(value)
            if resolved[name] is None:
                raise CheckpointError(f"{name} is {value[:80]!r}, which is not one of the supported classes")
    return resolved


@contextmanager
def _limit_parameters(numbers: int) -> Iterator[None]:
    """Abort when the networks get much larger than the weights: a small description can ask for terabytes."""
    budget = 2 * numbers + 2**16

    def count(_module: torch.nn.Module, name: str, parameter: torch.nn.Parameter | None) -> None:
        nonlocal budget
        budget -= 0 if parameter is None else parameter.numel()
        if budget < 0:
            raise CheckpointError(f"the weights do not fit the model: it would have far more than {numbers} parameters")

    hook = register_module_parameter_registration_hook(count)
    try:
        yield
    finally:
        hook.remove()


def _count_numbers(weights: Weights) -> int:
    # Count what is stored: a tensor can have any shape over a single number.
    storages = [tensor.untyped_storage() for tensor in weights.values() if isinstance(tensor, torch.Tensor)]
    return sum({storage.data_ptr(): storage.nbytes() for storage in storages}.values()) // torch.float32.itemsize


def _summarize(error: Exception) -> str:
    return f"{type(error).__name__}: {error}".splitlines()[0][:200]
