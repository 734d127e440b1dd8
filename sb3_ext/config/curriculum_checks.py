"""Checks of ``train.curriculum`` that its schema cannot make: whether its stages can begin."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from sb3_ext.config.curriculum_schema import ConditionConfig
from sb3_ext.config.evaluation_list import list_evaluations
from sb3_ext.config.evaluation_schema import CURRENT, OneEvalConfig
from sb3_ext.problems import Key, Problem
from sb3_ext.ranges import POSITIVE

_KEY = ("train", "curriculum")
_MEASURES = ("return", "success_rate")
_OF_MEASURES = {name: ConditionConfig.model_fields[name].default for name in ("by", "window", "patience")}


def find_curriculum_problems(data: Mapping[str, Any]) -> Iterator[Problem]:
    """
    :param data: a whole configuration as plain data; wrong types in it are left to the schema
    :return: stages that never begin, and evaluations that do not fit a curriculum
    """
    train = _mapping(data.get("train"))
    stages = train.get("curriculum")
    evaluations = list(list_evaluations(data))
    if not stages or not isinstance(stages, list):
        for key, section in evaluations:
            if section.get("stage") == CURRENT:
                yield Problem((*key, "stage"), "is for train.curriculum, but there is none")
        return
    if data.get("game") is not None:
        yield Problem(_KEY, "is for environments; a game has train.opponent_sampler and train.start_positions instead")
        return
    yield from _find_evaluation_problems(evaluations)
    watched_key, watched = find_watched_evaluation(data)
    last_steps = 0
    for index, stage in enumerate(stages):
        key = (*_KEY, index, "when")
        when = _mapping(stage).get("when")
        if when is None and index > 0 and isinstance(stage, Mapping):
            yield Problem(key, "required, but missing: only the first stage can begin from the start")
        conditions = when if isinstance(when, list) else [when]
        for place, condition in enumerate(conditions):
            own = (*key, place) if isinstance(when, list) else key
            yield from _find_condition_problems(_mapping(condition), own, watched_key, watched)
        yield from _find_bound_problems(conditions, key, train, last_steps)
        last_steps = max(last_steps, _find_least_steps(conditions) or 0)


def find_watched_evaluation(data: Mapping[str, Any]) -> tuple[Key, Mapping[str, Any]]:
    """
    :param data: a whole configuration as plain data
    :return: key and content of the evaluation that rules with ``by: evaluation`` watch: the first one in the current
        stage, else the first one
    """
    evaluations = list(list_evaluations(data))
    if not evaluations:
        return ("eval",), {}
    return next((item for item in evaluations if item[1].get("stage") == CURRENT), evaluations[0])


def _find_evaluation_problems(evaluations: list[tuple[Key, Mapping[str, Any]]]) -> Iterator[Problem]:
    for index, (key, section) in enumerate(evaluations):
        if section.get("stage") != CURRENT:
            continue
        if index == 0:
            yield Problem(
                (*key, "stage"),
                "the first evaluation chooses the best checkpoint, so it must be in the same stage always: leave it "
                f"out, and evaluate in the current stage, too, with eval: [{{}}, {{stage: {CURRENT}}}]",
            )
        if section.get("background") is True:
            yield Problem((*key, "background"), f"cannot be combined with stage: {CURRENT}")


def _find_condition_problems(
    condition: Mapping[str, Any], key: Key, watched_key: Key, watched: Mapping[str, Any]
) -> Iterator[Problem]:
    has_measures = any(condition.get(name) is not None for name in _MEASURES)
    for name, default in _OF_MEASURES.items():
        if condition.get(name, default) != default and not has_measures and _has_bound(condition):
            yield Problem((*key, name), "is for return and success_rate, neither of which is given")
    if condition.get("by") != "evaluation" or not has_measures:
        return
    place = ".".join(map(str, watched_key))
    every = watched.get("every_steps", OneEvalConfig.model_fields["every_steps"].default)
    if every is None and watched.get("every_episodes") is None:
        yield Problem((*key, "by"), f"never holds: {place} has neither every_steps nor every_episodes")
    if watched.get("background") is True:
        yield Problem(
            (*key, "by"),
            f"{place}.background must be false: the step at which a background evaluation ends is not reproducible",
        )


def _find_bound_problems(
    conditions: list[Any], key: Key, train: Mapping[str, Any], last_steps: int
) -> Iterator[Problem]:
    """Find stages that begin only when training ends, or at once when the stage before begins."""
    least = _find_least_steps(conditions)
    total: Any = train.get("total_steps")
    if least is None:
        return
    if total in POSITIVE and least >= total:
        yield Problem(key, f"never holds: {least:,} steps are not before train.total_steps, {total:,}")
    is_by_steps_alone = all(not any(_mapping(item).get(name) for name in _MEASURES) for item in conditions)
    has_stage_steps = any(_mapping(item).get("stage_steps") for item in conditions)
    if is_by_steps_alone and not has_stage_steps and least <= last_steps:
        yield Problem(key, f"{least:,} steps are not after the stage before, which begins at {last_steps:,} at least")


def _find_least_steps(conditions: list[Any]) -> int | None:
    """:return: the step before which none of the conditions can hold; ``None`` if there is no such step"""
    found: list[Any] = [_mapping(condition).get("steps") for condition in conditions]
    steps = [int(item) for item in found if item in POSITIVE]
    return min(steps) if steps and len(steps) == len(conditions) else None


def _has_bound(condition: Mapping[str, Any]) -> bool:
    return condition.get("steps") is not None or condition.get("stage_steps") is not None


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}
