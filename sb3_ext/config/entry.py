"""
Sections that a key ``type`` tells apart, such as callbacks: ``{type: checkpoint, params: {…}}``.

A few types have a section of their own, with typed parameters. Every other type names a class in a registry, as
``module:Name`` or as an entry point; its parameters are checked against the signature of that class, in
:mod:`sb3_ext.config.checks`. Which of the sections an entry is follows from its type alone, so that each mistake in it
has one message.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from pydantic import Discriminator, Tag

_OTHER = "<other>"

OTHER = Tag(_OTHER)
"""Marks the section of all types that have none of their own."""


def tag(entry_type: str) -> Tag:
    """
    :param entry_type: a value of the key ``type``
    :return: marks the section of this type
    """
    return Tag(f"<{entry_type}>")


def is_tag(part: object) -> bool:
    """
    :param part: of the place of one of pydantic's errors
    :return: whether it is a tag, which the file does not have
    """
    return isinstance(part, str) and part.startswith("<") and part.endswith(">")


def by_type(*entry_types: str) -> Discriminator:
    """
    :param entry_types: those that have a section of their own
    :return: chooses the section of an entry
    """
    return Discriminator(_make_choice(entry_types))


def _make_choice(entry_types: tuple[str, ...]) -> Callable[[Any], str]:
    def choose(entry: Any) -> str:
        found = entry.get("type") if isinstance(entry, Mapping) else getattr(entry, "type", None)
        return f"<{found}>" if isinstance(found, str) and found in entry_types else _OTHER

    return choose
