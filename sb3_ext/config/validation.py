"""Pydantic's errors in the words of the file."""

from __future__ import annotations

import types
import typing
from collections.abc import Iterator
from typing import Any

from pydantic import BaseModel, ValidationError

from sb3_ext.config.schema import RunConfig
from sb3_ext.problems import Problem, expected, suggest_name


def translate_errors(error: ValidationError) -> Iterator[Problem]:
    """
    :param error: what ``RunConfig.model_validate`` raised
    :return: one problem an error
    """
    for found in error.errors(include_url=False):
        key = found["loc"]
        kind = found["type"]
        if kind == "extra_forbidden":
            message = f"unknown key; {suggest_name(key[-1], _known_keys(key[:-1]))}"
        elif kind == "missing":
            message = "required, but missing"
        elif kind in ("model_type", "model_attributes_type", "dict_type"):
            message = expected("a mapping", found["input"])
        elif kind == "list_type":
            message = expected("a list", found["input"])
        else:
            message = found["msg"].removeprefix("Value error, ")
        yield Problem(key, message)


def _known_keys(key: tuple[str | int, ...]) -> list[str]:
    section: type[BaseModel] = RunConfig
    for part in key:
        if isinstance(part, str):
            section = next(_find_sections(section.model_fields[part].annotation))
    return [field.alias or name for name, field in section.model_fields.items()]


def _find_sections(annotation: Any) -> Iterator[type[BaseModel]]:
    is_class = isinstance(annotation, type) and not isinstance(annotation, types.GenericAlias)
    if is_class and issubclass(annotation, BaseModel):
        yield annotation
    for argument in typing.get_args(annotation):
        yield from _find_sections(argument)
