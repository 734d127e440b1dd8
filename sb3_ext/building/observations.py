"""Stack and normalise the observations of all environments."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from gymnasium import spaces
from stable_baselines3.common.preprocessing import is_image_space, is_image_space_channels_first
from stable_baselines3.common.vec_env import VecEnv, VecFrameStack, VecNormalize

from sb3_ext.algorithms.space_rules import describe_space, get_parts
from sb3_ext.errors import ConfigError

_KEYS = "norm_obs_keys"


def stack_frames(env: VecEnv, count: int) -> VecEnv:
    """
    :param env: environments
    :param count: number of observations to stack
    :return: the environments in a ``VecFrameStack``
    :raises ConfigError: if the observations cannot be stacked
    """
    for name, part in get_parts(env.observation_space).items():
        if not isinstance(part, spaces.Box):
            subject = "observations" if name is None else f"parts {name!r} of observations"
            raise ConfigError(
                f"env.frame_stack: {subject} are {describe_space(part)}, but only a Box can be stacked; leave it out, "
                "or put gymnasium.wrappers.FlattenObservation into env.wrappers"
            )
    stacked = VecFrameStack(env, count)
    for name, part in get_parts(env.observation_space).items():
        if is_image_space(part) and _has_channels_first(part) != _has_channels_first(
            get_parts(stacked.observation_space)[name]
        ):
            raise ConfigError(
                f"env.frame_stack: {count} frames of {describe_space(part)} have more channels than the image has rows,"
                " so that SB3 takes rows as channels; use a smaller number"
            )
    return stacked


def choose_normalization(setting: bool | Mapping[str, Any], space: spaces.Space[Any]) -> dict[str, Any]:
    """
    Choose what ``VecNormalize`` normalises: rewards, and all observations that it supports, except images.

    :param setting: ``env.normalize``: ``True``, or arguments of ``VecNormalize``, which are kept
    :param space: of the observations
    :return: arguments of ``VecNormalize``, with ``norm_obs`` and ``norm_obs_keys``
    :raises ConfigError: if the arguments include what cannot be normalised
    """
    arguments = {} if isinstance(setting, bool) else dict(setting)
    if arguments.get("norm_obs") is False:
        return arguments
    if arguments.get(_KEYS) is not None:
        _validate_keys(arguments[_KEYS], space)
        return arguments
    is_required = arguments.get("norm_obs") is True
    boxes = [name for name, part in get_parts(space).items() if isinstance(part, spaces.Box)]
    chosen = [name for name in boxes if is_required or not is_image_space(get_parts(space)[name])]
    if is_required and not boxes:
        raise ConfigError(
            f"env.normalize.norm_obs: observations are {describe_space(space)}, which VecNormalize cannot normalise; "
            "leave it out to normalise rewards alone"
        )
    arguments["norm_obs"] = bool(chosen)
    if chosen and isinstance(space, spaces.Dict):
        arguments[_KEYS] = chosen
    return arguments


def describe_normalization(normalize: VecNormalize) -> dict[str, Any]:
    """
    :param normalize: around environments
    :return: which observations it normalises, as arguments of ``VecNormalize``
    """
    return {"norm_obs": normalize.norm_obs, _KEYS: normalize.norm_obs_keys}


def _validate_keys(keys: list[str], space: spaces.Space[Any]) -> None:
    place = f"env.normalize.{_KEYS}"
    if not isinstance(space, spaces.Dict):
        raise ConfigError(f"{place}: is for Dict observations, but they are {describe_space(space)}; leave it out")
    for key in keys:
        part = space.spaces.get(key)
        if part is None:
            raise ConfigError(f"{place}: observations have no part {key!r}; they have {', '.join(space.spaces)}")
        if not isinstance(part, spaces.Box):
            raise ConfigError(f"{place}: part {key!r} of observations is {describe_space(part)}, but must be a Box")


def _has_channels_first(space: spaces.Space[Any]) -> bool:
    return is_image_space_channels_first(space)  # type: ignore[arg-type]
