"""
Environments that come as a ``VecEnv`` of their own, which steps all of them at once, in compiled code say.

The class of such an environment has an attribute ``native_vec_env``: the class of that ``VecEnv``, as ``module:Name``.
It takes ``num_envs``, ``render_mode`` and the arguments of the environment.
"""

from __future__ import annotations

import importlib

import gymnasium
from gymnasium.envs.registration import load_env_creator
from stable_baselines3.common.vec_env import VecEnv

from sb3_ext.arguments import import_name
from sb3_ext.errors import ConfigError
from sb3_ext.vec.environment_factory import EnvironmentFactory, explaining_failures

_OWN_PACKAGE = "sb3_ext_envs"


def has_native_vec_env(env_id: str) -> bool:
    """
    :param env_id: Gymnasium id; ``module:Name-v0`` imports the module first
    :return: whether there is such an environment, and a native ``VecEnv`` of it
    """
    try:
        return _find_native_class(_find_spec(env_id)) is not None
    except Exception:  # the check of env.id reports it
        return False


def lacks_native_vec_env(env_id: str) -> bool:
    """
    :param env_id: Gymnasium id; ``module:Name-v0`` imports the module first
    :return: whether there is such an environment, but no native ``VecEnv`` of it
    """
    try:
        return _find_native_class(_find_spec(env_id)) is None
    except Exception:  # the check of env.id reports it
        return False


def list_native_environments() -> list[str]:
    """
    :return: the ids of those of our own environments that have a native ``VecEnv``
    """
    importlib.import_module(_OWN_PACKAGE)
    own = (spec for spec in gymnasium.registry.values() if str(spec.entry_point).startswith(f"{_OWN_PACKAGE}."))
    return [spec.id for spec in own if _find_native_class(spec) is not None]


def make_native_vec_env(factory: EnvironmentFactory, num_envs: int) -> VecEnv:
    """
    :param factory: of one environment, without wrappers and without a limit of steps: there is no place for either
    :param num_envs: how many
    :return: all of them
    :raises ConfigError: if the environment has no native ``VecEnv``, or it cannot be made with these arguments
    :raises MissingExtraError: if it needs an extra that is not installed
    """
    with explaining_failures(factory.env_id):
        spec = _find_spec(factory.env_id)
        name = _find_native_class(spec)
        if name is None:
            raise ConfigError(f"parallel.mode: {explain_no_native_vec_env(factory.env_id)}")
        # Windows are the environments' own business, and these have none: SB3 shows pictures in one of its own.
        render_mode = "rgb_array" if factory.render_mode == "human" else factory.render_mode
        arguments = {**spec.kwargs, **factory.params}
        env: VecEnv = import_name(name)(num_envs=num_envs, render_mode=render_mode, **arguments)
        return env


def explain_no_native_vec_env(env_id: str) -> str:
    """
    :param env_id: of an environment without
    :return: a message that says which have one
    """
    known = ", ".join(list_native_environments())
    return f"'{env_id}' has no native VecEnv; use sequential, subproc or workers. Those that have one: {known}"


def _find_spec(env_id: str) -> gymnasium.envs.registration.EnvSpec:
    importlib.import_module(_OWN_PACKAGE)
    module, _, name = env_id.rpartition(":")
    if module:
        importlib.import_module(module)
    return gymnasium.spec(name)


def _find_native_class(spec: gymnasium.envs.registration.EnvSpec) -> str | None:
    creator = spec.entry_point
    function = load_env_creator(creator) if isinstance(creator, str) else creator
    return getattr(function, "native_vec_env", None)
