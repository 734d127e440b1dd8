"""Convert and check ``agent.params``: from plain YAML values to the constructor arguments of an algorithm."""

from __future__ import annotations

import inspect
import typing
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from sb3_ext.algorithms.algorithm_registry import BUILT_IN, Algorithm
from sb3_ext.algorithms.classes import find_named_class
from sb3_ext.algorithms.nested_parameters import find_nested_problems
from sb3_ext.algorithms.noise import find_noise_problems, make_action_noise
from sb3_ext.algorithms.parameter_ranges import ALGORITHM_RANGES, find_schedule_problems
from sb3_ext.algorithms.relations import find_relation_problems
from sb3_ext.algorithms.schedules import parse_schedule
from sb3_ext.arguments import convert_list, find_argument_problems, read_parameters, union_members
from sb3_ext.internals.sb3 import NO_SETUP_ARGUMENT
from sb3_ext.problems import Problem
from sb3_ext.ranges import Range

if TYPE_CHECKING:
    from gymnasium import spaces

OWNED_PARAMETERS = {
    "policy": "use agent.policy",
    "env": "use env",
    "device": "use agent.device",
    "seed": "use the top-level seed",
    "tensorboard_log": "it is always <run directory>/tensorboard",
    "verbose": "use --quiet or --verbose",
    NO_SETUP_ARGUMENT: "leave it out",
}
"""Constructor arguments that are set elsewhere in the configuration, and where."""


def find_parameter_problems(
    algorithm: Algorithm, params: Mapping[str, Any], *, policy: str | None = None, num_envs: int | None = None
) -> list[Problem]:
    """
    Check a configuration's ``agent.params`` against the algorithm's constructor.

    :param algorithm: whose constructor
    :param params: plain values as they come from YAML
    :param policy: an alias or ``module:Name``; ``None`` for what follows from the observation space
    :param num_envs: number of environments; ``None`` if it is not known
    :return: one problem a mistake, keyed from ``params`` inwards
    """
    values, problems = convert_parameters(algorithm, params)
    ranges = _find_ranges(algorithm)
    found = find_argument_problems(algorithm.load_class(), values, owned=OWNED_PARAMETERS, ranges=ranges)
    problems = [
        *problems,
        *found,
        *find_schedule_problems(params, ranges),
        *find_nested_problems(algorithm, policy, values),
    ]
    wrong = {problem.key[0] for problem in problems}
    sound = {name: value for name, value in fill_parameters(algorithm, values).items() if name not in wrong}
    return [*problems, *find_relation_problems(algorithm, sound, num_envs)]


def make_arguments(algorithm: Algorithm, params: Mapping[str, Any], action_space: spaces.Space[Any]) -> dict[str, Any]:
    """
    Make the keyword arguments of the constructor from a mapping without problems.

    :param algorithm: whose constructor
    :param params: plain values as they come from YAML
    :param action_space: of one environment; action noise has its shape
    :return: schedules, classes, tuples and noise as objects, everything else as it was
    """
    values, _ = convert_parameters(algorithm, params)
    if params.get("action_noise") is not None:
        values["action_noise"] = make_action_noise(params["action_noise"], typing.cast("spaces.Box", action_space))
    return values


def fill_parameters(algorithm: Algorithm, params: Mapping[str, Any], *, with_inherited: bool = False) -> dict[str, Any]:
    """
    Fill in the constructor's own defaults.

    :param algorithm: whose constructor
    :param params: plain values as they come from YAML
    :param with_inherited: also fill in defaults of the base class, for arguments that a user's class passes on to
        it; only for estimates, since the class may pass other values
    :return: plain values
    """
    read = read_all_parameters if with_inherited else read_parameters
    defaults = {
        name: list(parameter.default) if isinstance(parameter.default, tuple) else parameter.default
        for name, parameter in read(algorithm.load_class()).items()
        if name not in OWNED_PARAMETERS and _is_plain(parameter.default)
    }
    return {**defaults, **params}


def convert_parameters(algorithm: Algorithm, params: Mapping[str, Any]) -> tuple[dict[str, Any], list[Problem]]:
    """
    Convert each value to the type in the annotation of its parameter.

    :param algorithm: whose constructor
    :param params: plain values as they come from YAML
    :return: the converted values, without those that cannot be converted and without ``action_noise``, which needs
        an action space; and what is wrong with them
    """
    signature = read_all_parameters(algorithm.load_class())
    values: dict[str, Any] = {}
    problems: list[Problem] = []
    for name, value in params.items():
        if name == "action_noise" and name in signature:
            problems.extend(p.below(name) for p in (find_noise_problems(value) if value is not None else ()))
            continue
        try:
            values[name] = _convert(signature[name].annotation, value) if name in signature else value
        except (ValueError, LookupError) as error:
            problems.append(Problem((name,), str(error)))
    if isinstance(values.get("policy_kwargs"), Mapping):
        values["policy_kwargs"], found = _convert_policy_kwargs(values["policy_kwargs"])
        problems.extend(problem.below("policy_kwargs") for problem in found)
    return values, problems


def read_all_parameters(algorithm_class: type[Any]) -> dict[str, inspect.Parameter]:
    """
    :param algorithm_class: a class of algorithms
    :return: its constructor's parameters and, where it passes ``**kwargs`` on, those of its base class
    """
    parameters: dict[str, inspect.Parameter] = {}
    for base in algorithm_class.__mro__:
        if "__init__" not in vars(base):
            continue
        own = read_parameters(base)
        parameters = {**own, **parameters}
        if all(parameter.kind is not parameter.VAR_KEYWORD for parameter in own.values()):
            break
    return parameters


def _convert(annotation: Any, value: Any) -> Any:
    origins = [typing.get_origin(member) or member for member in union_members(annotation)]
    if isinstance(value, str) and Callable in origins and str not in origins:
        return parse_schedule(value)
    if isinstance(value, str) and type in origins:
        return find_named_class(value)
    if isinstance(value, float) and value.is_integer() and int in origins and float not in origins:
        return int(value)  # 1e6 is how people write a million
    return convert_list(annotation, value)


def _find_ranges(algorithm: Algorithm) -> Mapping[str, Range]:
    """Those of a built-in algorithm's arguments; in a class of the user's own, any other argument may mean anything."""
    if algorithm.id in BUILT_IN:
        return ALGORITHM_RANGES
    if algorithm.base is None:
        return {}
    known = read_parameters(BUILT_IN[algorithm.base].load_class())
    return {name: allowed for name, allowed in ALGORITHM_RANGES.items() if name in known}


def _convert_policy_kwargs(policy_kwargs: Mapping[str, Any]) -> tuple[dict[str, Any], list[Problem]]:
    values: dict[str, Any] = {}
    problems: list[Problem] = []
    for name, value in policy_kwargs.items():
        try:
            is_class = isinstance(value, str) and name.endswith(("_fn", "_class"))
            values[name] = find_named_class(value) if is_class else value
        except LookupError as error:
            problems.append(Problem((name,), str(error)))
    return values, problems


def _is_plain(value: Any) -> bool:
    if isinstance(value, tuple):
        return all(map(_is_plain, value))
    return value is not inspect.Parameter.empty and isinstance(value, bool | int | float | str | type(None))
