"""Find mistakes in what an environment's ``reset`` and ``step`` return, in the words of Gymnasium's API."""

from __future__ import annotations

from collections.abc import MutableMapping
from typing import Any

import numpy as np
from gymnasium import spaces

from sb3_ext.errors import Sb3ExtError

_STEP = "observation, reward, terminated, truncated, info"


class EnvironmentResultError(Sb3ExtError):
    """An environment returned something that Gymnasium's API does not allow."""


def find_reset_problem(result: Any, space: spaces.Space[Any]) -> str | None:
    """
    :param result: what ``reset`` has returned
    :param space: the observation space
    :return: the mistake, and what to do; ``None`` if there is none
    """
    if not (isinstance(result, tuple) and len(result) == 2 and isinstance(result[1], MutableMapping)):
        return f"reset() returns {_describe(result)}; return two values: observation, info (a dict, which may be empty)"
    return _find_observation_problem("reset()", result[0], space)


def find_step_problem(result: Any, space: spaces.Space[Any]) -> str | None:
    """
    :param result: what ``step`` has returned
    :param space: the observation space
    :return: the mistake, and what to do; ``None`` if there is none
    """
    if not isinstance(result, tuple | list) or len(result) != 5:
        is_old = isinstance(result, tuple | list) and len(result) == 4
        done = "; this is the API of the old Gym: replace done by terminated and truncated" if is_old else ""
        return f"step() returns {_describe(result)}; return five values: {_STEP}{done}"
    observation, reward, terminated, truncated, info = result
    if not isinstance(reward, bool | int | float | np.number | np.bool_) and not _is_number(reward):
        return f"step() returns {_describe(reward)} as reward; return a number, such as float(reward)"
    for name, value in (("terminated", terminated), ("truncated", truncated)):
        if not isinstance(value, bool | int | np.bool_ | np.integer) and not _is_number(value):
            return f"step() returns {_describe(value)} as {name}; return True or False"
    if not isinstance(info, MutableMapping):
        return f"step() returns {_describe(info)} as info; return a dict, which may be empty"
    return _find_observation_problem("step()", observation, space)


def _find_observation_problem(method: str, observation: Any, space: spaces.Space[Any], part: str = "") -> str | None:
    if isinstance(space, spaces.Dict):
        if not isinstance(observation, dict) or space.spaces.keys() - observation.keys():
            keys = ", ".join(map(repr, space.spaces))
            return f"{method} returns {_describe(observation)} as observation{part}; return a dict with the keys {keys}"
        inner = ((key, observation[key], found) for key, found in space.spaces.items())
        found = (_find_observation_problem(method, value, below, f" {key!r}") for key, value, below in inner)
        return next((problem for problem in found if problem is not None), None)
    if space.shape is None or space.dtype is None:
        return None
    try:
        np.empty(space.shape, space.dtype)[...] = observation
        fits = np.size(observation) == np.prod(space.shape, dtype=int)
    except (TypeError, ValueError):
        fits = False
    if not fits:
        return (
            f"{method} returns {_describe(observation)} as observation{part}, but observation_space is {space}, of "
            f"shape {space.shape}; make the two equal"
        )
    return None


def _is_number(value: Any) -> bool:
    return isinstance(value, np.ndarray) and value.ndim == 0 and value.dtype.kind in "biuf"


def _describe(value: Any) -> str:
    if isinstance(value, np.ndarray):
        return f"an array of shape {value.shape}"
    if isinstance(value, tuple | list):
        return f"a {type(value).__name__} of {len(value)} values"
    if isinstance(value, dict):
        return f"a dict with the keys {', '.join(map(repr, value))}" if value else "an empty dict"
    if value is None or isinstance(value, bool | int | float | str):
        return repr(value)[:60]
    return f"an object of type {type(value).__name__}"
