"""sb3_contrib's ``ActionMasker`` with the name of a method, as its documentation describes it."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from typing import Any

import gymnasium
from numpy.typing import NDArray

# By name: workers would import all of sb3_contrib to compare the class.
_ACTION_MASKER = "sb3_contrib.common.wrappers.action_masker.ActionMasker"
_ARGUMENT = "action_mask_fn"


class MaskMethod:
    """
    A function for ``ActionMasker`` that calls a method of the environment.

    ``ActionMasker`` itself passes the environment to the method a second time, and does not find a method behind
    Gymnasium's wrappers.

    :param name: of the method, which takes no argument, or the environment as its only one
    """

    def __init__(self, name: str) -> None:
        self.name = name

    def __call__(self, env: gymnasium.Env[Any, Any]) -> NDArray[Any]:
        """
        :param env: the environment, perhaps in wrappers
        :return: its action mask
        """
        method = env.get_wrapper_attr(self.name)
        mask: NDArray[Any] = method() if _takes_nothing(method) else method(env)
        return mask


def replace_mask_method(
    wrapper_class: Any, env: gymnasium.Env[Any, Any], arguments: Mapping[str, Any]
) -> Mapping[str, Any]:
    """
    :param wrapper_class: of a wrapper
    :param env: what it is put around
    :param arguments: of its constructor
    :return: the same, of an ``ActionMasker`` with a :class:`MaskMethod` in the place of a method's name
    :raises AttributeError: if the environment has no such method
    """
    name = arguments.get(_ARGUMENT)
    bases = {f"{base.__module__}.{base.__qualname__}" for base in getattr(wrapper_class, "__mro__", ())}
    if _ACTION_MASKER not in bases or not isinstance(name, str):
        return arguments
    if not callable(env.get_wrapper_attr(name)):
        raise AttributeError(f"'{name}' of {type(env.unwrapped).__name__} is not a method")
    return {**arguments, _ARGUMENT: MaskMethod(name)}


def _takes_nothing(method: Any) -> bool:
    try:
        inspect.signature(method).bind()
    except TypeError:
        return False
    return True
