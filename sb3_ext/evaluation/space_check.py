"""Check whether a model can play in an environment."""

from __future__ import annotations

from typing import Any

from gymnasium import spaces
from stable_baselines3.common.vec_env import VecEnv

from sb3_ext.algorithms.space_rules import HasSpaces
from sb3_ext.errors import CheckpointError


def check_spaces(model: HasSpaces, env: VecEnv) -> None:
    """
    Compare the spaces of a model with those of an environment.

    :param model: a model, for example of a checkpoint
    :param env: the environment, with the same wrappers as in training
    :raises CheckpointError: if observation or action spaces differ; the message lists the differences
    """
    differences = find_space_differences(model, env)
    if differences:
        raise CheckpointError("the model does not fit the environment: " + "; ".join(differences))


def find_space_differences(model: HasSpaces, env: HasSpaces) -> list[str]:
    """
    :param model: a model, or the environment of training
    :param env: another environment
    :return: what differs between their spaces
    """
    pairs = (
        ("observations", model.observation_space, env.observation_space),
        ("actions", model.action_space, env.action_space),
    )
    return [text for kind, ours, theirs in pairs for text in _find_differences(kind, ours, theirs)]


def _find_differences(kind: str, model_space: spaces.Space[Any], env_space: spaces.Space[Any]) -> list[str]:
    if model_space == env_space:
        return []
    if not isinstance(model_space, spaces.Dict) or not isinstance(env_space, spaces.Dict):
        return [f"{kind}: the model has {model_space}, the environment has {env_space}"]
    ours, theirs = model_space.spaces, env_space.spaces
    differences = [f"{kind}: the environment has no {key!r}" for key in ours.keys() - theirs.keys()]
    differences += [f"{kind}: the model does not have {key!r}" for key in theirs.keys() - ours.keys()]
    for key in ours.keys() & theirs.keys():
        differences += _find_differences(f"{kind}[{key!r}]", ours[key], theirs[key])
    return sorted(differences)
