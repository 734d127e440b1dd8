"""
Checks that a schema cannot make: whether names exist, and whether arguments fit the functions that they are for.

They read the raw data, section by section, so that a mistake in one section hides none in another.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from pydantic import ValidationError

from sb3_ext.arguments import find_argument_problems, import_name
from sb3_ext.config.argument_ranges import (
    CALLBACK_RANGES,
    NORMALIZE_RANGES,
    PRUNER_RANGES,
    SAMPLER_RANGES,
    WRAPPER_RANGES,
    find_ranges,
)
from sb3_ext.config.callback_schema import CHECKPOINT_TYPE
from sb3_ext.config.callback_types import CALLBACK_TYPES, GIVEN_BY_RUN, load_callback_class
from sb3_ext.config.curriculum_checks import find_curriculum_problems
from sb3_ext.config.evaluation_list import list_evaluations
from sb3_ext.config.game_checks import find_game_problems
from sb3_ext.config.parallel_checks import find_parallel_problems, is_validated_by_mode
from sb3_ext.config.parallel_schema import ParallelConfig
from sb3_ext.errors import ConfigError
from sb3_ext.problems import Key, Problem, suggest_name
from sb3_ext.ranges import find_range_problems
from sb3_ext.tracking.tracker_registry import load_tracker_class


def find_problems(data: Mapping[str, Any]) -> list[Problem]:
    """
    :param data: a whole configuration as plain data; wrong types in it are left to the schema
    :return: unknown algorithms, environments, classes and parameters
    """
    agent, env = _mapping(data.get("agent")), _mapping(data.get("env"))
    return [
        *_find_agent_problems(agent, _count_envs(_mapping(data.get("parallel")))),
        *_find_deterministic_problem(agent, _mapping(data.get("train"))),
        *_find_env_problems(env, _mapping(data.get("parallel"))),
        *_find_evaluation_problems(data),
        *find_game_problems(data),
        *find_parallel_problems(data),
        *find_curriculum_problems(data),
        *_find_callback_problems(_mapping(data.get("train")).get("callbacks")),
        *_find_tracking_problems(_mapping(data.get("tracking"))),
        *_find_tune_problems(_mapping(data.get("tune"))),
    ]


def _count_envs(parallel: Mapping[str, Any]) -> int | None:
    try:
        return ParallelConfig.model_validate(parallel).num_envs
    except ValidationError:  # the schema reports it
        return None


def _find_agent_problems(agent: Mapping[str, Any], num_envs: int | None) -> Iterator[Problem]:
    from sb3_ext.algorithms.algorithm_registry import get_algorithm
    from sb3_ext.algorithms.parameters import find_parameter_problems
    from sb3_ext.engines.engine_registry import AUTO_ENGINE, get_engine

    algorithm_id = agent.get("id")
    if not isinstance(algorithm_id, str):
        return
    try:
        algorithm = get_algorithm(algorithm_id)
    except ConfigError as error:
        yield Problem(("agent", "id"), str(error).removeprefix("agent.id: "))
        return
    policy = agent.get("policy")
    for problem in find_parameter_problems(
        algorithm,
        _mapping(agent.get("params")),
        policy=policy if isinstance(policy, str) else None,
        num_envs=num_envs,
    ):
        yield problem.below("agent", "params")
    if isinstance(agent.get("engine"), str) and agent["engine"] != AUTO_ENGINE:
        try:
            get_engine(agent["engine"])
        except ConfigError as error:
            yield Problem(("agent", "engine"), str(error).removeprefix("agent.engine: "))
    if isinstance(policy, str):
        aliases = algorithm.load_class().policy_aliases
        if ":" in policy:
            yield from _find_import_problem(policy, ("agent", "policy"))
        elif policy not in aliases:
            near = suggest_name(policy, aliases)
            yield Problem(("agent", "policy"), f"{algorithm_id} has no policy '{policy}'; {near}")


def _find_deterministic_problem(agent: Mapping[str, Any], train: Mapping[str, Any]) -> Iterator[Problem]:
    from sb3_ext.algorithms.algorithm_registry import ALGORITHMS, get_algorithm

    if train.get("deterministic") is not True or not isinstance(agent.get("id"), str):
        return
    try:
        algorithm = get_algorithm(agent["id"])
    except ConfigError:
        return  # reported above
    if not algorithm.can_collect_deterministically:
        fitting = ", ".join(name for name, other in ALGORITHMS.items() if other.can_collect_deterministically)
        yield Problem(("train", "deterministic"), f"{algorithm.id} cannot collect deterministically; {fitting} can")


def _find_env_problems(env: Mapping[str, Any], parallel: Mapping[str, Any]) -> Iterator[Problem]:
    from stable_baselines3.common.vec_env import VecNormalize

    from sb3_ext.vec.registered_environments import find_registration_problems

    if isinstance(env.get("id"), str) and not is_validated_by_mode(parallel):
        yield from find_registration_problems(env["id"], _mapping(env.get("params")))
    wrappers = env.get("wrappers")
    for index, wrapper in enumerate(wrappers if isinstance(wrappers, list) else ()):
        [(name, arguments)] = wrapper.items() if isinstance(wrapper, dict) and len(wrapper) == 1 else [(wrapper, None)]
        if isinstance(name, str) and ("." in name or ":" in name):
            owned = {"env": "it is the environment below"}
            yield from _find_import_problem(name, ("env", "wrappers", index), _mapping(arguments), owned)
    owned = {"venv": "it is the environment below", "training": "it is on in training and off in evaluation"}
    arguments = _mapping(env.get("normalize"))
    for problem in find_argument_problems(VecNormalize, arguments, owned=owned, ranges=NORMALIZE_RANGES):
        yield problem.below("env", "normalize")


def _find_evaluation_problems(data: Mapping[str, Any]) -> Iterator[Problem]:
    """Check the environments of evaluations, where they are not those of training."""
    trained = _mapping(data.get("env"))
    for key, section in list_evaluations(data):
        changes = _mapping(section.get("env"))
        env_id = changes.get("id", trained.get("id"))
        given = {"id": env_id, "params": changes.get("params", {}), "wrappers": changes.get("wrappers")}
        if isinstance(env_id, str) and (changes.get("id") is not None or given["wrappers"] is not None):
            for problem in _find_env_problems(given, _mapping(data.get("parallel"))):
                yield problem.below(*key)


def _find_callback_problems(callbacks: Any) -> Iterator[Problem]:
    for index, entry in enumerate(callbacks if isinstance(callbacks, list) else ()):
        callback_type = _mapping(entry).get("type")
        if not isinstance(callback_type, str) or callback_type == CHECKPOINT_TYPE:
            continue
        key = ("train", "callbacks", index)
        try:
            callback_class = load_callback_class(callback_type)
        except LookupError as error:
            yield Problem((*key, "type"), str(error))
        else:
            owned = GIVEN_BY_RUN if callback_type in CALLBACK_TYPES else {}
            arguments, ranges = _mapping(entry.get("params")), find_ranges(callback_class, CALLBACK_RANGES)
            for problem in find_argument_problems(callback_class, arguments, owned=owned, ranges=ranges):
                yield problem.below(*key, "params")


def _find_tracking_problems(tracking: Mapping[str, Any]) -> Iterator[Problem]:
    for name, arguments in tracking.items():
        if arguments is None:
            continue
        try:
            tracker_class = load_tracker_class(str(name))
        except LookupError as error:
            yield Problem(("tracking", name), str(error))
        else:
            for problem in find_argument_problems(tracker_class, _mapping(arguments)):
                yield problem.below("tracking", name)


def _find_tune_problems(tune: Mapping[str, Any]) -> Iterator[Problem]:
    """Check ranges only: Optuna, which may not be installed, checks the rest when the study begins."""
    for section, ranges in (("sampler", SAMPLER_RANGES), ("pruner", PRUNER_RANGES)):
        for problem in find_range_problems(_mapping(_mapping(tune.get(section)).get("params")), ranges):
            yield problem.below("tune", section, "params")


def _find_import_problem(
    name: str, key: Key, arguments: Mapping[str, Any] | None = None, owned: Mapping[str, str] | None = None
) -> Iterator[Problem]:
    try:
        found = import_name(name)
    except LookupError as error:
        yield Problem(key, str(error))
        return
    if arguments is not None:
        ranges = find_ranges(found, WRAPPER_RANGES)
        for problem in find_argument_problems(found, arguments, owned=owned, ranges=ranges):
            yield problem.below(*key)


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}
