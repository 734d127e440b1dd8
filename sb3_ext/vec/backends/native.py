"""
``parallel.mode: native``.

For environments that come as a ``VecEnv`` of their own, which steps all of them at once, in compiled code for example.
The class of such an environment has an attribute ``native_vec_env``: the class of that ``VecEnv``, as ``module:Name``.
It takes ``num_envs``, ``render_mode`` and the arguments of the environment.
"""

from __future__ import annotations

import importlib
from collections.abc import Iterator, Mapping
from typing import Any

import gymnasium
from gymnasium.envs.registration import EnvSpec
from stable_baselines3.common.vec_env import VecEnv

from sb3_ext.arguments import import_name
from sb3_ext.errors import ConfigError
from sb3_ext.problems import Problem
from sb3_ext.vec.backends.batch_backend import BatchBackend
from sb3_ext.vec.environment_factory import EnvironmentFactory, explaining_failures
from sb3_ext.vec.registered_environments import find_spec, load_creator

_OWN_PACKAGE = "sb3_ext_envs"
_OTHER_MODES = "use sequential, subproc or workers"


class NativeBackend(BatchBackend):
    """
    Step the environments in batches of their own, where they have some.

    :param num_envs: number of environments
    """

    def make_batch(self, factory: EnvironmentFactory, num_envs: int) -> VecEnv:
        """
        :param factory: of one environment, without wrappers and without a limit of steps: there is no place for either
        :param num_envs: how many
        :raises ConfigError: if the environment has no native ``VecEnv``, or cannot be made with these arguments
        :raises MissingExtraError: if it needs an extra that is not installed
        """
        with explaining_failures(factory.env_id):
            spec = find_spec(factory.env_id)
            name = _get_native_class(spec)
            if name is None:
                raise ConfigError(f"parallel.mode: {_explain_lack(factory.env_id)}")
            # Such environments have no windows: SB3 shows pictures in one of its own.
            render_mode = "rgb_array" if factory.render_mode == "human" else factory.render_mode
            arguments = {**spec.kwargs, **factory.params}
            env: VecEnv = import_name(name)(num_envs=num_envs, render_mode=render_mode, **arguments)
            return env

    def find_problems(self, env: Mapping[str, Any]) -> Iterator[Problem]:
        """Nothing can be put around a single environment of a batch, and the environment must have batches."""
        env_id = env.get("id")
        if isinstance(env_id, str) and has_native_vec_env(env_id) is False:
            yield Problem(("parallel", "mode"), _explain_lack(env_id))
        for name, feature in (("wrappers", "put wrappers around environments"), ("max_steps", "truncate episodes")):
            if env.get(name):
                yield Problem(("env", name), f"parallel.mode native cannot {feature}; {_OTHER_MODES}")

    @property
    def name(self) -> str:
        return "native"

    @property
    def description(self) -> str:
        return "native batches"

    @classmethod
    def explain_preference(cls, factory: EnvironmentFactory) -> str | None:
        """Prefer native batches on every machine: they have random numbers of their own, and so other results."""
        has_batches = factory.max_steps is None and not factory.wrappers and has_native_vec_env(factory.env_id)
        return "the environment comes in batches of its own" if has_batches else None

    @classmethod
    def list_variants(cls, factory: EnvironmentFactory, num_envs: int, cores: int) -> list[dict[str, Any]]:
        return [{}] if cls.explain_preference(factory) else []


def has_native_vec_env(env_id: str) -> bool | None:
    """
    :param env_id: Gymnasium id; ``module:Name-v0`` imports the module first
    :return: whether the environment has a native ``VecEnv``; ``None`` if there is no such environment
    """
    try:
        return _get_native_class(find_spec(env_id)) is not None
    except Exception:  # the check of env.id reports it
        return None


def list_native_environments() -> list[str]:
    """
    :return: the ids of those of our own environments that have a native ``VecEnv``
    """
    importlib.import_module(_OWN_PACKAGE)
    own = (spec for spec in gymnasium.registry.values() if str(spec.entry_point).startswith(f"{_OWN_PACKAGE}."))
    return [spec.id for spec in own if _get_native_class(spec) is not None]


def _explain_lack(env_id: str) -> str:
    known = ", ".join(list_native_environments())
    return f"'{env_id}' has no native VecEnv; {_OTHER_MODES}. Those that have one: {known}"


def _get_native_class(spec: EnvSpec) -> str | None:
    return getattr(load_creator(spec.entry_point), "native_vec_env", None)
