"""Checks of a search space: whether its keys exist, and whether the values in it are valid."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from pydantic import ValidationError

from sb3_ext.config.checks import find_problems
from sb3_ext.config.overriding import apply_override
from sb3_ext.config.schema import RunConfig
from sb3_ext.config.source import Override
from sb3_ext.config.tune_schema import DimensionConfig
from sb3_ext.config.validation import translate_errors
from sb3_ext.problems import Problem, describe_value, suggest_name

_SPACE = ("tune", "space")


def find_space_problems(data: Mapping[str, Any]) -> list[Problem]:
    """
    :param data: a whole configuration as plain data; mistakes outside of ``tune.space`` are reported elsewhere
    :return: mistakes: keys that the configuration does not have, values that it does not accept, conditions on keys
        that are not in the space
    """
    tune = data.get("tune")
    space = tune.get("space") if isinstance(tune, Mapping) else None
    if not isinstance(space, Mapping):
        return []
    dimensions = dict(_read_dimensions(space))
    return [
        *_find_condition_problems(dimensions, list(space)),
        *_find_value_problems({**data, "tune": None}, dimensions),
    ]


def apply_values(data: dict[str, Any], values: Mapping[str, Any]) -> list[Problem]:
    """
    Set sampled values in place.

    :param data: a whole configuration as plain data
    :param values: key with dots -> value
    :return: mistakes in the keys
    """
    outcomes = [apply_override(data, make_override(key, value)) for key, value in values.items()]
    return [problem for _, problem in outcomes if problem is not None]


def make_override(key: str, value: Any) -> Override:
    """
    :param key: with dots, as in ``tune.space``
    :param value: plain data
    :return: the override that sets it
    """
    return Override(tuple(int(part) if part.isdigit() else part for part in key.split(".")), value, "tune.space")


def _read_dimensions(space: Mapping[str, Any]) -> Iterator[tuple[str, DimensionConfig]]:
    for key, entry in space.items():
        try:
            yield key, DimensionConfig.model_validate(entry)
        except ValidationError:  # the schema reports it
            continue


def _find_condition_problems(dimensions: Mapping[str, DimensionConfig], keys: Sequence[str]) -> Iterator[Problem]:
    for key, dimension in dimensions.items():
        above = keys[: keys.index(key)]
        for condition in dimension.when:
            if condition not in above:
                where = "this one does not" if condition in keys else suggest_name(condition, above)
                message = f"expected a key that is further up in the space; {where}"
                yield Problem((*_SPACE, key, "when", condition), message)


def _find_value_problems(data: dict[str, Any], dimensions: Mapping[str, DimensionConfig]) -> Iterator[Problem]:
    """Report only mistakes that the configuration does not have without the space."""
    known = set(_find_all_problems(data, {}))
    for key, dimension in dimensions.items():
        if key.partition(".")[0] == "tune":
            yield Problem((*_SPACE, key), "expected a key that affects training; those of tune do not")
            continue
        conditions = _collect_conditions(key, dimensions)
        for value in dimension.choose_test_values():
            problems = [item for item in _find_all_problems(data, {**conditions, key: value}) if item not in known]
            if problems:
                yield Problem((*_SPACE, key), _describe(problems[0], key, value))
                break


def _collect_conditions(key: str, dimensions: Mapping[str, DimensionConfig]) -> dict[str, Any]:
    """Values that meet the conditions of a key, and theirs in turn; without conditions on keys further down."""
    keys = list(dimensions)
    values: dict[str, Any] = {}
    for condition, wanted in dimensions[key].when.items():
        if condition in keys[: keys.index(key)]:
            values |= _collect_conditions(condition, dimensions)
            values[condition] = wanted[0] if isinstance(wanted, list) and wanted else wanted
    return values


def _find_all_problems(data: dict[str, Any], values: Mapping[str, Any]) -> list[Problem]:
    changed = copy.deepcopy(data)
    problems = apply_values(changed, values)
    try:
        RunConfig.model_validate(changed)
    except ValidationError as error:
        problems.extend(translate_errors(error))
    return [*problems, *find_problems(changed)]


def _describe(problem: Problem, key: str, value: Any) -> str:
    found = ".".join(map(str, problem.key))
    if found == key:
        return f"{problem.message} (for {describe_value(value)})"
    return f"with {describe_value(value)}: {found}: {problem.message}"
