"""Checks of ``parallel`` that a schema cannot make: mode, its settings, and whether it fits the environment."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from pydantic import ValidationError

from sb3_ext.arguments import find_argument_problems, read_parameters
from sb3_ext.config.parallel_schema import ParallelConfig, fill_game_mode
from sb3_ext.errors import ConfigError
from sb3_ext.problems import Problem
from sb3_ext.vec.backends.parallel_modes import AUTO, BUILT_IN, load_backend_class, make_backend

_SECTION = ("parallel",)


def find_parallel_problems(data: Mapping[str, Any]) -> Iterator[Problem]:
    """
    :param data: a whole configuration as plain data; wrong types in it are left to the schema
    :return: mistakes: an unknown mode, settings that it does not take, an environment that it cannot step
    """
    try:
        parallel = ParallelConfig.model_validate(fill_game_mode(data).get("parallel") or {})
    except ValidationError:  # the schema reports it
        return
    problems = list(_find_setting_problems(parallel))
    yield from problems
    if parallel.mode == AUTO or problems:
        return
    try:
        backend = make_backend(parallel.mode, parallel.num_envs, parallel.settings)
    except ConfigError as error:
        for line in error.problems:
            place, _, message = line.partition(": ")
            yield Problem(tuple(place.split(".")), message)
        return
    env = data.get("env")
    yield from backend.find_problems(env if isinstance(env, Mapping) else {})


def takes_setting(mode: object, name: str) -> bool:
    """
    :param mode: a value of ``parallel.mode``
    :param name: of another key of the section, such as ``num_workers``
    :return: whether there is such a mode, and takes that key; not for ``auto``
    """
    try:
        return name in read_parameters(load_backend_class(str(mode)))
    except LookupError:
        return False


def is_validated_by_mode(parallel: Mapping[str, Any]) -> bool:
    """
    :param parallel: the section ``parallel`` as plain data
    :return: whether its mode checks ``env.id`` and ``env.params`` in :func:`find_parallel_problems`
    """
    mode = str(parallel.get("mode", AUTO))
    if mode == AUTO:
        return False
    try:
        return load_backend_class(mode).validates_environment
    except LookupError:  # a mistake that is reported elsewhere
        return False


def _find_setting_problems(parallel: ParallelConfig) -> Iterator[Problem]:
    if parallel.mode == AUTO:
        taken = _list_automatic_settings() if parallel.section_settings else set()
        if parallel.params:
            yield Problem((*_SECTION, "params"), "is for a certain mode, but the mode is auto; set parallel.mode")
    else:
        try:
            backend_class = load_backend_class(parallel.mode)
        except LookupError as error:
            yield Problem((*_SECTION, "mode"), str(error))
            return
        taken = set(read_parameters(backend_class))
        names = [name for name in ParallelConfig.model_fields if name not in ("mode", "params")]
        owned = {name: f"it is parallel.{name}" for name in names}
        for problem in find_argument_problems(backend_class, parallel.params, owned=owned):
            yield problem.below(*_SECTION, "params")
    for name in parallel.section_settings:
        if name not in taken:
            modes = " or ".join(mode for mode in BUILT_IN if name in read_parameters(load_backend_class(mode)))
            yield Problem(
                _SECTION, f"{name} is for mode {modes}, but the mode is {parallel.mode}; set parallel.mode: {modes}"
            )


def _list_automatic_settings() -> set[str]:
    """:return: the settings of the modes that ``auto`` chooses from"""
    automatic = [backend for backend in map(load_backend_class, BUILT_IN) if backend.is_automatic]
    return {name for backend in automatic for name in backend.changeable}
