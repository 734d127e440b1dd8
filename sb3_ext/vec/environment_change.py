"""Change environments that exist: set attributes, call methods, or make them again with other arguments."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import gymnasium
import numpy as np
from stable_baselines3.common.vec_env import VecEnv

_SET = "set_wrapper_attr"
REMAKE = "change_environment"
"""The method of :class:`~sb3_ext.vec.remake_wrapper.RemakeWrapper`."""


@dataclass(frozen=True)
class EnvironmentChange:
    """
    A change of an environment.

    :param attributes: attributes to set, where they are: in the environment or in one of its wrappers
    :param calls: methods to call afterwards, each with its keyword arguments
    :param params: arguments to make the environment with; needs a
        :class:`~sb3_ext.vec.remake_wrapper.RemakeWrapper`
    """

    attributes: Mapping[str, Any] = field(default_factory=dict)
    calls: Mapping[str, Mapping[str, Any] | None] = field(default_factory=dict)
    params: Mapping[str, Any] = field(default_factory=dict)

    def apply_to(self, env: gymnasium.Env[Any, Any]) -> None:
        """
        Set the attributes and call the methods of one environment.

        :param env: with its wrappers
        :raises AttributeError: if it lacks one of them
        """
        for name, value in self.attributes.items():
            env.set_wrapper_attr(name, match_type(env.get_wrapper_attr(name), value))
        for name, arguments in self.calls.items():
            env.get_wrapper_attr(name)(**(arguments or {}))


def change_environments(venv: VecEnv, change: EnvironmentChange, *, remade: bool = False) -> None:
    """
    Apply a change to all environments of a ``VecEnv``.

    Unlike ``VecEnv.set_attr``, which sets an attribute of the outermost wrapper, this sets it where it is.

    :param venv: the environments, with wrappers
    :param change: what to change
    :param remade: whether each environment is in a ``RemakeWrapper``, which then remembers the change
    :raises AttributeError: if the environments lack an attribute or a method
    """
    if remade:
        venv.env_method(REMAKE, dict(change.params), dict(change.attributes), dict(change.calls))
        return
    is_separate = has_separate_environments(venv)
    for name, value in change.attributes.items():
        matching = match_type(venv.get_attr(name, indices=[0])[0], value)
        if is_separate:
            venv.env_method(_SET, name, matching)
        else:
            venv.set_attr(name, matching)
    for name, arguments in change.calls.items():
        venv.env_method(name, **(arguments or {}))


def has_separate_environments(venv: VecEnv) -> bool:
    """
    :param venv: environments
    :return: whether each of them is an environment of Gymnasium, with attributes of its own
    """
    return venv.has_attr(_SET)


def match_type(current: object, value: Any) -> Any:
    """
    Convert plain data from YAML to the type of the present value, where that loses nothing.

    :param current: the present value of an attribute
    :param value: the new one
    :return: a tuple or an array in place of a list, a float in place of an integer; any other value as it is
    """
    if isinstance(value, list) and isinstance(current, tuple):
        return tuple(value)
    if isinstance(value, list) and isinstance(current, np.ndarray):
        return np.array(value, dtype=current.dtype)
    if type(value) is int and isinstance(current, float):
        return type(current)(value)
    return value
