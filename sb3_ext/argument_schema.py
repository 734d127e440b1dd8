"""JSON Schema of the arguments of a function or class: from its signature, and the ranges of its numbers."""

from __future__ import annotations

import inspect
import typing
from collections.abc import Callable, Collection, Mapping
from pathlib import Path
from typing import Any, Literal

from sb3_ext.arguments import find_range, read_parameters, union_members
from sb3_ext.ranges import Range

_PLAIN = {
    str: {"type": "string"},
    Path: {"type": "string"},
    bool: {"type": "boolean"},
    type(None): {"type": "null"},
}


def make_argument_schema(
    function: Callable[..., Any], *, owned: Collection[str] = (), ranges: Mapping[str, Range] | None = None
) -> dict[str, Any]:
    """
    :param function: a function or class
    :param owned: arguments that are set elsewhere
    :param ranges: of numbers, by the argument's name, for parameters whose annotation has no range
    :return: JSON Schema of its keyword arguments
    """
    parameters = {name: found for name, found in read_parameters(function).items() if name not in owned}
    named = {
        name: found for name, found in parameters.items() if found.kind not in (found.VAR_KEYWORD, found.VAR_POSITIONAL)
    }
    schema: dict[str, Any] = {
        "type": "object",
        "properties": {name: describe_parameter(found, (ranges or {}).get(name)) for name, found in named.items()},
    }
    required = [name for name, found in named.items() if found.default is found.empty]
    if required:
        schema["required"] = required
    if all(found.kind is not found.VAR_KEYWORD for found in parameters.values()):
        schema["additionalProperties"] = False
    return schema


def describe_parameter(parameter: inspect.Parameter, allowed: Range | None) -> dict[str, Any]:
    """
    :param parameter: of a function
    :param allowed: the range of its numbers, if its annotation has none
    :return: JSON Schema of its values
    """
    allowed = find_range(parameter.annotation) or allowed
    schemas: list[dict[str, Any]] = []
    for member in union_members(parameter.annotation):
        schemas += [found for found in [_describe_type(member, allowed)] if found not in schemas]
    if {} in schemas:
        schemas = [{}]
    schema = schemas[0] if len(schemas) == 1 else {"anyOf": schemas}
    is_shown = isinstance(parameter.default, bool | int | float | str | type(None))
    return {**schema, "default": parameter.default} if is_shown else schema


def _describe_type(annotation: Any, allowed: Range | None) -> dict[str, Any]:
    origin = typing.get_origin(annotation) or annotation
    if origin in (int, float):
        return {"type": "integer" if origin is int else "number"} if allowed is None else allowed.to_json_schema()
    if origin is Literal:
        return {"enum": list(typing.get_args(annotation))}
    if origin in (list, tuple):
        items = [_describe_type(part, allowed) for part in typing.get_args(annotation) if part is not Ellipsis]
        if not items:
            return {"type": "array"}
        return {"type": "array", "items": {"anyOf": items}} if origin is tuple else {"type": "array", "items": items[0]}
    if origin is dict:
        values = typing.get_args(annotation)[1:]
        return {"type": "object", "additionalProperties": _describe_type(values[0], allowed) if values else True}
    if origin is Callable:
        return {"type": "string", "description": "a schedule: linear(start), linear(start, end) or constant(value)"}
    if origin is type:
        return {"type": "string", "description": "a class: a known name, or module:Name"}
    return dict(_PLAIN.get(origin, {}))
