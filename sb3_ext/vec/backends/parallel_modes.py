"""The values of ``parallel.mode``: back ends by name. Loads none of them before it is asked for."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from sb3_ext.arguments import convert_lists
from sb3_ext.errors import ConfigError, describe_error
from sb3_ext.extensions import Registry

if TYPE_CHECKING:
    from sb3_ext.vec.backends.environment_backend import EnvironmentBackend

AUTO = "auto"
"""Chosen at the start of a run among the built-in modes; until then environments are made as in ``sequential``."""

SEQUENTIAL = "sequential"

BUILT_IN = {
    SEQUENTIAL: "sb3_ext.vec.backends.sequential:SequentialBackend",
    "subproc": "sb3_ext.vec.backends.subproc:SubprocBackend",
    "workers": "sb3_ext.vec.backends.workers:WorkersBackend",
    "native": "sb3_ext.vec.backends.native:NativeBackend",
    "ray": "sb3_ext.vec.backends.ray_actors:RayBackend",
    "gymnasium": "sb3_ext.vec.backends.gymnasium_vectors:GymnasiumBackend",
}

PARALLEL_MODES = Registry("parallel mode", BUILT_IN, "sb3_ext.parallel_modes", reserved=[AUTO])
"""Every mode that a configuration can name, but for ``auto``."""


def load_backend_class(mode: str) -> type[EnvironmentBackend]:
    """
    :param mode: a name that :data:`PARALLEL_MODES` knows
    :return: the class
    :raises LookupError: with a message for the user, if there is none, or it is not an ``EnvironmentBackend``
    """
    from sb3_ext.vec.backends.environment_backend import EnvironmentBackend

    backend_class: type[EnvironmentBackend] = PARALLEL_MODES.load_subclass(mode, EnvironmentBackend)
    return backend_class


def make_backend(mode: str, num_envs: int, settings: Mapping[str, Any]) -> EnvironmentBackend:
    """
    :param mode: ``auto``, or a name that :data:`PARALLEL_MODES` knows
    :param num_envs: number of environments
    :param settings: arguments of its class beside ``num_envs``, as plain data; ``auto`` has none
    :return: the back end
    :raises ConfigError: if there is no such mode, or its settings contradict each other
    """
    if mode == AUTO:
        mode, settings = SEQUENTIAL, {}
    try:
        backend_class = load_backend_class(mode)
    except LookupError as error:
        raise ConfigError(f"parallel.mode: {error}") from error
    try:
        return backend_class(num_envs, **convert_lists(backend_class, settings))
    except ConfigError as error:
        raise ConfigError(f"parallel: {problem}" for problem in error.problems) from error
    except Exception as error:  # the code of any class runs here
        is_worded = isinstance(error, TypeError | ValueError)
        raise ConfigError(f"parallel: {error if is_worded else describe_error(error)}") from error
