"""Make sb3_contrib's ``ActionMasker`` work with the name of a method, as its documentation promises."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from typing import Any

import gymnasium
from numpy.typing import NDArray

# Compared by name, so that workers need not import sb3_contrib.
_ACTION_MASKER = "sb3_contrib.common.wrappers.action_masker.ActionMasker"
_ARGUMENT = "action_mask_fn"


class MaskMethod:
    """
    Call a method of the environment: a mask function for ``ActionMasker``.

    ``ActionMasker`` itself passes the environment to the method a second time, and does not find a method inside
    Gymnasium's wrappers.

    :param name: of the method, which takes no argument, or only the environment
    """

    def __init__(self, name: str) -> None:
        self.name = name

    def __call__(self, env: gymnasium.Env[Any, Any]) -> NDArray[Any]:
        """
        :param env: the environment, perhaps in wrappers
        :return: its action mask
        """
        method = env.get_wrapper_attr(self.name)
        mask: NDArray[Any] = method() if _takes_no_argument(method) else method(env)
        return mask


def replace_mask_method(
    wrapper_class: Any, env: gymnasium.Env[Any, Any], arguments: Mapping[str, Any]
) -> Mapping[str, Any]:
    """
    Replace the name of a method in the arguments of an ``ActionMasker`` by a :class:`MaskMethod`.

    :param wrapper_class: any wrapper
    :param env: the environment inside
    :param arguments: of the wrapper's constructor
    :return: the arguments, changed only for an ``ActionMasker``
    :raises AttributeError: if the environment has no such method
    """
    name = arguments.get(_ARGUMENT)
    bases = {f"{base.__module__}.{base.__qualname__}" for base in getattr(wrapper_class, "__mro__", ())}
    if _ACTION_MASKER not in bases or not isinstance(name, str):
        return arguments
    if not callable(env.get_wrapper_attr(name)):
        raise AttributeError(f"'{name}' of {type(env.unwrapped).__name__} is not a method")
    return {**arguments, _ARGUMENT: MaskMethod(name)}


def _takes_no_argument(method: Any) -> bool:
    try:
        inspect.signature(method).bind()
    except TypeError:
        return False
    return True
