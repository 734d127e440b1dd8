"""JSON Schema of algorithms' arguments: from signatures and ranges."""

from __future__ import annotations

import inspect
import typing
from collections.abc import Callable, Mapping
from typing import Any

from sb3_ext.algorithms.algorithm_registry import Algorithm
from sb3_ext.algorithms.nested_parameters import find_policy_classes
from sb3_ext.algorithms.parameter_ranges import ALGORITHM_RANGES, POLICY_RANGES
from sb3_ext.arguments import read_parameters, union_members
from sb3_ext.ranges import Range

_PLAIN = {str: {"type": "string"}, bool: {"type": "boolean"}, type(None): {"type": "null"}}


def make_parameter_schema(algorithm: Algorithm, owned: Mapping[str, str]) -> dict[str, Any]:
    """
    :param algorithm: whose constructor
    :param owned: its arguments that are set elsewhere
    :return: JSON Schema of ``agent.params``
    """
    properties = {
        name: _describe(parameter, ALGORITHM_RANGES.get(name))
        for name, parameter in read_parameters(algorithm.load_class()).items()
        if name not in owned
    }
    properties["policy_kwargs"]["properties"] = {
        name: _describe(parameter, POLICY_RANGES.get(name))
        for name, parameter in read_parameters(find_policy_classes(algorithm, None)[0]).items()
        if parameter.default is not parameter.empty
    }
    return {"type": "object", "properties": properties, "additionalProperties": False}


def _describe(parameter: inspect.Parameter, allowed: Range | None) -> dict[str, Any]:
    schemas = [_describe_type(member, allowed) for member in union_members(parameter.annotation)]
    schema = schemas[0] if len(schemas) == 1 else {"anyOf": schemas}
    is_shown = isinstance(parameter.default, bool | int | float | str | type(None))
    return {**schema, "default": parameter.default} if is_shown else schema


def _describe_type(annotation: Any, allowed: Range | None) -> dict[str, Any]:
    origin = typing.get_origin(annotation) or annotation
    if origin in (int, float):
        return {"type": "integer" if origin is int else "number"} if allowed is None else allowed.to_json_schema()
    if origin in (list, tuple):
        items = [_describe_type(part, allowed) for part in typing.get_args(annotation) if part is not Ellipsis]
        return {"type": "array", "items": {"anyOf": items}} if origin is tuple else {"type": "array", "items": items[0]}
    if origin is dict:
        values = typing.get_args(annotation)[1:]
        return {"type": "object", "additionalProperties": _describe_type(values[0], allowed) if values else True}
    if origin is Callable:
        return {"type": "string", "description": "a schedule: linear(start), linear(start, end) or constant(value)"}
    if origin is type:
        return {"type": "string", "description": "a class: a known name, or module:Name"}
    return dict(_PLAIN.get(origin, {}))
