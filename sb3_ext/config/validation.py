"""Pydantic's errors in the words of the file."""

from __future__ import annotations

import types
import typing
from collections.abc import Iterator, Mapping
from typing import Any

from pydantic import BaseModel, ValidationError

from sb3_ext.config.schema import CheckpointConfig, RunConfig
from sb3_ext.problems import Problem, expected, suggest_name


def find_checkpoint_problems(entry: Mapping[str, Any]) -> Iterator[Problem]:
    """
    :param entry: of type ``checkpoint`` in ``train.callbacks``
    :return: one problem a mistake in its parameters
    """
    if entry.get("enabled", True) is not True:
        yield Problem((), "checkpoints are always on; leave out 'enabled'")
    try:
        CheckpointConfig.model_validate(entry.get("params") or {})
    except ValidationError as error:
        yield from translate_errors(error, CheckpointConfig)


def translate_errors(error: ValidationError, root: type[BaseModel] = RunConfig) -> Iterator[Problem]:
    """
    :param error: what the validation of ``root`` raised
    :param root: the outermost section
    :return: one problem an error
    """
    for found in error.errors(include_url=False):
        key = found["loc"]
        kind = found["type"]
        if kind == "extra_forbidden":
            message = f"unknown key; {suggest_name(key[-1], _known_keys(root, key[:-1]))}"
        elif kind == "missing":
            message = "required, but missing"
        elif kind in ("model_type", "model_attributes_type", "dict_type"):
            message = expected("a mapping", found["input"])
        elif kind == "list_type":
            message = expected("a list", found["input"])
        else:
            message = found["msg"].removeprefix("Value error, ")
        yield Problem(key, message)


def _known_keys(section: type[BaseModel], key: tuple[str | int, ...]) -> list[str]:
    for part in key:
        if isinstance(part, str) and part in section.model_fields:  # not what a mapping's keys are
            section = next(_find_sections(section.model_fields[part].annotation))
    return [field.alias or name for name, field in section.model_fields.items()]


def _find_sections(annotation: Any) -> Iterator[type[BaseModel]]:
    is_class = isinstance(annotation, type) and not isinstance(annotation, types.GenericAlias)
    if is_class and issubclass(annotation, BaseModel):
        yield annotation
    for argument in typing.get_args(annotation):
        yield from _find_sections(argument)
