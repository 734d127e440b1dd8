"""``parallel.mode: gymnasium``."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import replace
from typing import Any, Literal

import gymnasium
from gymnasium.vector import AsyncVectorEnv, AutoresetMode, SyncVectorEnv, VectorEnv, VectorWrapper
from stable_baselines3.common.vec_env import VecEnv

from sb3_ext.arguments import convert_lists, find_argument_problems, import_name
from sb3_ext.errors import ConfigError, MissingExtraError
from sb3_ext.problems import Problem, suggest_name
from sb3_ext.vec.backends.batch_backend import BatchBackend
from sb3_ext.vec.environment_factory import EnvironmentFactory, explaining_failures
from sb3_ext.vec.monitor_files import make_vec_monitor
from sb3_ext.vec.registered_environments import find_registration_problems, find_spec

Vectorization = Literal["sync", "async", "vector_entry_point", "envpool"]
AnyVectorEnv = VectorEnv[Any, Any, Any]

_FACTORY = "factory"
_SEPARATE = ("sync", "async")
_OWNED = dict.fromkeys(("num_envs", "vectorization_mode", "vector_kwargs"), "it is in the section parallel")
_MAX_EPISODE_STEPS = "max_episode_steps"


class GymnasiumBackend(BatchBackend):
    """
    Step a vector environment of Gymnasium.

    ``env.id`` is what ``gymnasium.make_vec`` takes; with ``envpool`` an id of EnvPool; or ``module:function``, which
    takes ``num_envs`` and the keyword arguments in ``env.params``, and returns a ``VectorEnv``.

    :param num_envs: number of environments
    :param vectorization_mode: as for ``gymnasium.make_vec``, or ``envpool``; ``None``: the id's ``vector_entry_point``
        if it has one, else ``sync``
    :param vector_kwargs: keyword arguments of ``SyncVectorEnv``, ``AsyncVectorEnv`` or ``envpool.make_gymnasium``, such
        as ``num_threads``
    """

    validates_environment = True

    def __init__(
        self,
        num_envs: int,
        vectorization_mode: Vectorization | None = None,
        vector_kwargs: dict[str, Any] | None = None,
    ) -> None:
        super().__init__(num_envs)
        self._vectorization_mode = vectorization_mode
        self._vector_kwargs = dict(vector_kwargs or {})

    def make_batch(self, factory: EnvironmentFactory, num_envs: int) -> VecEnv:
        """
        :param factory: of one environment; only ``sync`` and ``async`` call it
        :param num_envs: how many
        :raises ConfigError: if there is no such vector environment, or SB3 cannot use how it resets
        :raises MissingExtraError: if EnvPool is needed and missing
        """
        from sb3_ext.vec.vector_envs.gymnasium_vec_env import GymnasiumVecEnv

        with explaining_failures(factory.env_id):
            vector_env = self._make_vector_env(factory, num_envs)
            try:
                return GymnasiumVecEnv(vector_env)
            except BaseException:
                vector_env.close()
                raise

    def make_eval_env(
        self,
        factory: EnvironmentFactory,
        num_envs: int,
        *,
        wrapper_class: type[gymnasium.Wrapper[Any, Any, Any, Any]] | None = None,
    ) -> VecEnv:
        """Make single environments to show those that are made one by one, else a vector environment as in training."""
        if _choose_vectorization(factory.env_id, self._vectorization_mode) in _SEPARATE:
            return super().make_eval_env(factory, num_envs, wrapper_class=wrapper_class)
        return make_vec_monitor(self.make_batch(_without_windows(factory), num_envs))

    def has_single_environments(self, factory: EnvironmentFactory) -> bool:
        vectorization = _choose_vectorization(factory.env_id, self._vectorization_mode)
        if vectorization == "vector_entry_point":
            return find_spec(factory.env_id).entry_point is not None
        return vectorization in _SEPARATE

    def find_problems(self, env: Mapping[str, Any]) -> Iterator[Problem]:
        """Find ids that cannot be made, arguments that they do not take, and wrappers of the other kind."""
        env_id, params = env.get("id"), env.get("params") or {}
        if not isinstance(env_id, str) or not isinstance(params, Mapping):
            return
        try:
            vectorization = _choose_vectorization(env_id, self._vectorization_mode)
        except Exception:  # the check of the registration reports it
            yield from find_registration_problems(env_id, params)
            return
        if vectorization == "envpool":
            yield from _find_pool_problems(env_id)
        elif vectorization == _FACTORY:
            for problem in find_argument_problems(import_name(env_id), params, owned=_OWNED):
                yield problem.below("env", "params")
        else:
            yield from find_registration_problems(env_id, params, vectorized=vectorization not in _SEPARATE)
        yield from _find_wrapper_problems(env.get("wrappers"), vectorization)
        if self._vector_kwargs and vectorization in (_FACTORY, "vector_entry_point"):
            yield Problem(
                ("parallel", "params", "vector_kwargs"),
                f"'{env_id}' makes its vector environment from env.params alone",
            )

    @property
    def name(self) -> str:
        return "gymnasium"

    @property
    def description(self) -> str:
        return "a vector environment of Gymnasium"

    def _make_vector_env(self, factory: EnvironmentFactory, num_envs: int) -> AnyVectorEnv:
        vectorization = _choose_vectorization(factory.env_id, self._vectorization_mode)
        if vectorization in _SEPARATE:
            return _make_separate(vectorization, factory, num_envs, self._vector_kwargs)
        arguments = dict(factory.params)
        if factory.render_mode is not None:
            arguments["render_mode"] = factory.render_mode
        if factory.max_steps is not None:
            arguments[_MAX_EPISODE_STEPS] = factory.max_steps
        if vectorization == "envpool":
            from sb3_ext.vec.vector_envs.pool_vector_env import make_pool_vector_env

            _import_envpool()
            pool = make_pool_vector_env(factory.env_id, num_envs, {**self._vector_kwargs, **arguments})
            return self._wrap(pool, factory)
        if vectorization == _FACTORY:
            made = import_name(factory.env_id)(num_envs=num_envs, **arguments)
            if not isinstance(made, VectorEnv):
                raise TypeError(f"expected the function to return a gymnasium.vector.VectorEnv, found {made!r}")
            return self._wrap(made, factory)
        made = gymnasium.make_vec(factory.env_id, num_envs, "vector_entry_point", **arguments)
        return self._wrap(made, factory)

    def _wrap(self, env: AnyVectorEnv, factory: EnvironmentFactory) -> AnyVectorEnv:
        from sb3_ext.vec.vector_envs.masked_reset import use_masked_reset

        env = use_masked_reset(env)  # innermost: Gymnasium's wrappers read the mode of what is inside
        for index, (name, arguments) in enumerate(factory.wrappers):
            wrapper_class = import_name(name)
            try:
                env = wrapper_class(env, **convert_lists(wrapper_class, arguments))
            except (gymnasium.error.Error, AssertionError, LookupError, TypeError, ValueError) as error:
                message = " ".join(str(error).split()) or type(error).__name__
                raise ConfigError(
                    f"env.wrappers.{index}: {name} cannot be put around the environment: {message}"
                ) from error
        return env


def _choose_vectorization(env_id: str, mode: str | None) -> str:
    """
    :return: how to make the vector environment: one of ``Vectorization``, or ``factory``
    :raises Exception: if there is no such environment, or its code fails
    """
    if mode is not None:
        return mode
    try:
        spec = find_spec(env_id)
    except gymnasium.error.Error:
        if ":" in env_id:
            with suppress(LookupError):
                if callable(import_name(env_id)):
                    return _FACTORY
        raise
    return "sync" if spec.vector_entry_point is None else "vector_entry_point"


def _make_separate(
    vectorization: str, factory: EnvironmentFactory, num_envs: int, arguments: Mapping[str, Any]
) -> AnyVectorEnv:
    env_fns: list[Callable[[], Any]] = [factory] * num_envs
    if vectorization == "sync":
        return SyncVectorEnv(env_fns, **{"autoreset_mode": AutoresetMode.SAME_STEP, **arguments})
    # As in the mode subproc; a fork of a process with threads may deadlock.
    defaults = {"autoreset_mode": AutoresetMode.SAME_STEP, "context": "forkserver"}
    return AsyncVectorEnv(env_fns, **{**defaults, **arguments})


def _without_windows(factory: EnvironmentFactory) -> EnvironmentFactory:
    """:return: the same with images instead of a window: SB3 shows them in one of its own"""
    return replace(factory, render_mode="rgb_array") if factory.render_mode == "human" else factory


def _import_envpool() -> Any:
    try:
        import envpool
    except ImportError as error:
        raise MissingExtraError(
            "parallel.params.vectorization_mode: envpool", "envpool", "its wheels need Python 3.11 or later"
        ) from error
    return envpool


def _find_pool_problems(task_id: str) -> Iterator[Problem]:
    try:
        known = _import_envpool().list_all_envs()
    except MissingExtraError as error:
        yield Problem(("parallel", "params", "vectorization_mode"), str(error))
        return
    if task_id not in known:
        yield Problem(("env", "id"), f"EnvPool has no environment '{task_id}'; {suggest_name(task_id, known)}")


def _find_wrapper_problems(wrappers: Any, vectorization: str) -> Iterator[Problem]:
    needs_vector = vectorization not in _SEPARATE
    for index, wrapper in enumerate(wrappers if isinstance(wrappers, list) else ()):
        name = str(next(iter(wrapper), "") if isinstance(wrapper, dict) else wrapper)
        try:
            found = import_name(name)
        except Exception:  # reported elsewhere
            continue
        if (inspect.isclass(found) and issubclass(found, VectorWrapper)) != needs_vector:
            place, wanted = (
                ("a vector environment", "gymnasium.vector.VectorWrapper")
                if needs_vector
                else ("each environment", "gymnasium.Wrapper")
            )
            yield Problem(
                ("env", "wrappers", index),
                f"{name} is not a {wanted}: vectorization_mode {vectorization} puts wrappers around {place}",
            )
