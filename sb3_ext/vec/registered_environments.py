"""Find registered environments, and what is wrong with an id or its arguments."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import gymnasium
from gymnasium.envs.registration import EnvSpec, load_env_creator

from sb3_ext.arguments import find_argument_problems, import_module, read_parameters
from sb3_ext.errors import describe_error
from sb3_ext.problems import Problem, suggest_name
from sb3_ext.vec.environment_factory import describe_missing_dependency
from sb3_ext.vec.known_environments import explain_missing_module, explain_unregistered

_OWN_PACKAGE = "sb3_ext_envs"
_KEY = ("env", "id")


def find_spec(env_id: str) -> EnvSpec:
    """
    :param env_id: Gymnasium id; ``module:Name-v0`` imports the module first
    :return: what is registered
    :raises LookupError: if there is no such module
    :raises Exception: Gymnasium's if the id is not registered, or any other of the module's code
    """
    importlib.import_module(_OWN_PACKAGE)
    module, _, name = env_id.rpartition(":")
    if module:
        import_module(module)
    return gymnasium.spec(name)


def load_creator(creator: str | Callable[..., Any] | None) -> Callable[..., Any] | None:
    """
    :param creator: an entry point
    :return: the class or function
    """
    return load_env_creator(creator) if isinstance(creator, str) else creator


def find_registration_problems(
    env_id: str, params: Mapping[str, Any], *, vectorized: bool = False
) -> Iterator[Problem]:
    """
    :param env_id: Gymnasium id; ``module:Name-v0`` imports the module first
    :param params: keyword arguments
    :param vectorized: whether they are for the ``vector_entry_point``, instead of for a single environment
    :return: an unknown id, code that cannot be imported, wrong arguments
    """
    from sb3_ext_envs import explain_unknown_environment

    module, colon, name = env_id.rpartition(":")
    prefix = module + colon
    try:
        spec = find_spec(env_id)
        function = load_creator(spec.vector_entry_point if vectorized else spec.entry_point)
    except gymnasium.error.DependencyNotInstalled as error:
        yield Problem(_KEY, str(describe_missing_dependency(env_id, error)).removeprefix("env.id: "))
    except gymnasium.error.Error:
        known = (
            explain_unknown_environment(name)
            or explain_unregistered(name)
            or f"unknown environment '{env_id}'; {suggest_name(name, gymnasium.registry, prefix=prefix)}"
        )
        yield Problem(_KEY, known)
    except LookupError as error:
        yield Problem(_KEY, explain_missing_module(module) or str(error))
    except ImportError as error:
        yield Problem(_KEY, str(describe_missing_dependency(env_id, error)).removeprefix("env.id: "))
    except (Exception, SystemExit) as error:
        yield Problem(_KEY, f"cannot import the code of '{env_id}': {describe_error(error)}")
    else:
        if function is None:
            yield Problem(_KEY, _explain_other_kind(env_id, vectorized))
            return
        required = {key for key, found in read_parameters(function).items() if found.default is found.empty}
        owned = dict.fromkeys(required.intersection(spec.kwargs), f"it is part of '{name}'")
        if vectorized:
            owned["num_envs"] = "it is parallel.num_envs"
        for problem in find_argument_problems(function, params, owned=owned):
            yield problem.below("env", "params")


def _explain_other_kind(env_id: str, vectorized: bool) -> str:
    if vectorized:
        return f"'{env_id}' has no vector_entry_point; set parallel.params.vectorization_mode: sync"
    return f"'{env_id}' exists only as a vector environment: set parallel.mode: gymnasium, without a vectorization_mode"
