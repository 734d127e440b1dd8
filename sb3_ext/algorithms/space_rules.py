"""Check whether SB3 supports a space of observations or actions, and say what to do if it does not."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Protocol, cast

import numpy as np
import torch
from gymnasium import spaces
from stable_baselines3.common.preprocessing import is_image_space, is_image_space_channels_first

from sb3_ext.algorithms.algorithm_registry import ALGORITHMS, Algorithm, find_algorithms_for
from sb3_ext.problems import Problem

SMALLEST_IMAGE = 36
"""The least height and width in pixels for SB3's network for images (``NatureCNN``)."""

_ENV = ("env", "id")
_AGENT = ("agent", "id")
_READABLE = (spaces.Box, spaces.Discrete, spaces.MultiDiscrete, spaces.MultiBinary)
_LONGEST_DESCRIPTION = 80


class HasSpaces(Protocol):
    """A model, a policy, or a description of one."""

    observation_space: spaces.Space[Any]
    action_space: spaces.Space[Any]


def find_observation_problems(space: spaces.Space[Any]) -> Iterator[Problem]:
    """
    :param space: of the observations of one environment
    :return: one problem for each part that no algorithm can learn from
    """
    parts = get_parts(space)
    if not parts:
        yield Problem(_ENV, "the observation is a Dict without any part")
    for name, part in parts.items():
        subject = "the observation" if name is None else f"part {name!r} of the observation"
        if not isinstance(part, _READABLE):
            yield Problem(_ENV, f"{subject} is {describe_space(part)}, {_advise(name)}")
        elif 0 in (part.shape or ()):
            yield Problem(_ENV, f"{subject} is {describe_space(part)}, which holds no number; {_advise(name)}")
        elif name is not None and not _is_module_name(name):
            yield Problem(_ENV, f"{subject} has a name that torch does not accept for a module; give it another one")
    yield from _find_image_problems({name: part for name, part in parts.items() if is_image_space(part)})


def _find_image_problems(images: Mapping[str | None, spaces.Space[Any]]) -> Iterator[Problem]:
    """SB3 takes the smallest dimension as the channels, and does not support channels in the middle."""
    for name, image in images.items():
        if np.argmin(image.shape or ()) == 1:
            subject = "the observation" if name is None else f"part {name!r} of the observation"
            yield Problem(
                _ENV,
                f"{subject} is {describe_space(image)}, an image whose second dimension is the smallest; SB3 needs "
                "the channels in the first or the last dimension, and fewer of them than rows and columns",
            )
            return
    first = [name for name, image in images.items() if is_image_space_channels_first(image)]  # type: ignore[arg-type]
    last = [name for name in images if name not in first]
    if first and last:
        yield Problem(
            _ENV,
            f"the channels of image {last[0]!r} are its last dimension, those of image {first[0]!r} its first; "
            "SB3 needs them in the same place",
        )


def find_action_problems(algorithm: Algorithm, space: spaces.Space[Any]) -> Iterator[Problem]:
    """
    :param algorithm: the algorithm
    :param space: of the actions of one environment
    :return: why no algorithm can act there (``env.id``), or why this one cannot (``agent.id``)
    """
    kind, described = type(space).__name__, describe_space(space)
    fitting = find_algorithms_for(kind)
    if not fitting:
        yield Problem(
            _ENV,
            f"the action space is {described}, in which no algorithm can act; a wrapper in env.wrappers can make a "
            "Box, Discrete, MultiDiscrete or MultiBinary space of it",
        )
    elif kind not in algorithm.action_spaces:
        yield Problem(
            _AGENT,
            f"{algorithm.id} acts in {' or '.join(algorithm.action_spaces)} spaces, but the environment's action space "
            f"is {described}; agent.id could be {', '.join(fitting)}",
        )
    elif space.shape is not None and 0 in space.shape:
        yield Problem(_ENV, f"the action space is {described}, which holds no number")
    elif isinstance(space, spaces.Box):
        with np.errstate(over="ignore", invalid="ignore"):
            width = space.high - space.low
        if not np.isfinite(width).all():
            yield Problem(
                _ENV,
                f"the action space is {described}, but all algorithms need finite bounds; set them in the environment "
                "or in a wrapper (env.wrappers)",
            )
        elif algorithm.is_off_policy and not width.all():
            able = ", ".join(name for name in fitting if not ALGORITHMS[name].is_off_policy)
            yield Problem(
                _AGENT,
                f"{algorithm.id} scales actions by the distance of their bounds, which is 0 in {described}; "
                f"agent.id could be {able}",
            )


def find_small_images(space: spaces.Space[Any], policy_kwargs: Mapping[str, Any]) -> dict[str | None, str]:
    """
    :param space: of the observations of one environment
    :param policy_kwargs: arguments of the policy
    :return: the images that are too small for SB3's network for images, and their sizes, such as ``8x8``
    """
    small = {}
    for name, part in get_parts(space).items():
        if is_image(part, policy_kwargs):
            assert isinstance(part, spaces.Box)
            height, width = part.shape[1:] if is_image_space_channels_first(part) else part.shape[:2]
            if min(height, width) < SMALLEST_IMAGE:
                small[name] = f"{height}x{width}"
    return small


def is_image(space: spaces.Space[Any], policy_kwargs: Mapping[str, Any]) -> bool:
    """
    :param space: of observations, or of a part of them
    :param policy_kwargs: arguments of the policy
    :return: whether SB3's policies take it as an image
    """
    return is_image_space(space, normalized_image=not policy_kwargs.get("normalize_images", True))


def get_parts(space: spaces.Space[Any]) -> dict[str | None, spaces.Space[Any]]:
    """
    :param space: of observations
    :return: the parts of a ``Dict`` by name; of any other space, itself by ``None``
    """
    return (
        cast("dict[str | None, spaces.Space[Any]]", {**space.spaces})
        if isinstance(space, spaces.Dict)
        else {None: space}
    )


def describe_space(space: spaces.Space[Any]) -> str:
    """
    :param space: any space
    :return: one short line
    """
    text = " ".join(str(space).split())
    return text if len(text) <= _LONGEST_DESCRIPTION else f"{text[: _LONGEST_DESCRIPTION - 3]}..."


def _advise(name: str | None) -> str:
    readable = "Box, Discrete, MultiDiscrete or MultiBinary"
    if name is None:
        return f"which no algorithm can learn from; a wrapper in env.wrappers can make a {readable} of it"
    return (
        "which no algorithm can learn from; leave it out with {gymnasium.wrappers.FilterObservation: {filter_keys: "
        f"[...]}}}} in env.wrappers, or make a {readable} of it"
    )


def _is_module_name(name: str) -> bool:
    try:
        torch.nn.ModuleDict({name: torch.nn.Identity()})
    except (KeyError, TypeError):
        return False
    return True
