"""Translate pydantic's errors into messages about the file."""

from __future__ import annotations

import typing
from collections.abc import Iterable, Iterator
from typing import Annotated, Any

from pydantic import BaseModel, Tag, ValidationError

from sb3_ext.config.entry import is_tag
from sb3_ext.config.schema import RunConfig
from sb3_ext.problems import Problem, expected, suggest_name


def translate_errors(error: ValidationError) -> Iterator[Problem]:
    """
    :param error: raised by the validation of a whole configuration
    :return: one problem for each error
    """
    for found in error.errors(include_url=False):
        place = found["loc"]
        kind = found["type"]
        if kind == "extra_forbidden":
            message = f"unknown key; {suggest_name(place[-1], _list_keys(place[:-1]))}"
        elif kind == "missing":
            message = "required, but missing"
        elif kind in ("model_type", "model_attributes_type", "dict_type"):
            message = expected("a mapping", found["input"])
        elif kind == "list_type":
            message = expected("a list", found["input"])
        else:
            message = found["msg"].removeprefix("Value error, ")
        yield Problem(tuple(part for part in place if not is_tag(part)), message)


def _list_keys(place: Iterable[str | int]) -> list[str]:
    """:return: the keys of the section at a place, which has a tag where several sections are possible"""
    sections: dict[str, type[BaseModel]] = {"": RunConfig}
    for part in place:
        if is_tag(part):
            sections = {"": sections[str(part)]}
        elif part in (fields := next(iter(sections.values())).model_fields):  # not a key of a plain mapping
            sections = dict(_find_sections(fields[str(part)].annotation))
    section = next(iter(sections.values()))
    return [field.alias or name for name, field in section.model_fields.items()]


def _find_sections(annotation: Any, tag: str = "") -> Iterator[tuple[str, type[BaseModel]]]:
    """:return: the sections in an annotation, by their tags"""
    if typing.get_origin(annotation) is Annotated:
        tags = [metadata.tag for metadata in annotation.__metadata__ if isinstance(metadata, Tag)]
        yield from _find_sections(annotation.__origin__, *tags)
        return
    if typing.get_origin(annotation) is None and isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield tag, annotation
    for argument in typing.get_args(annotation):
        yield from _find_sections(argument, tag)
