"""``eval: [ … ]``: several evaluations. The first one is the section ``eval``; the others become its key ``also``."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from sb3_ext.problems import Key

_SECTION, _OTHERS = "eval", "also"


def spread_evaluations(data: dict[str, Any]) -> None:
    """
    Replace a list of evaluations by the section with ``also``, in place.

    :param data: a whole configuration as plain data
    """
    entries = data.get(_SECTION)
    if isinstance(entries, list) and entries and all(isinstance(entry, dict) for entry in entries):
        data[_SECTION] = {**entries[0], _OTHERS: entries[1:]}


def move_key(key: Key, data: Mapping[str, Any]) -> Key:
    """
    :param key: of a value in the file
    :param data: the file's content, before :func:`spread_evaluations`
    :return: where that value is afterwards
    """
    if len(key) < 2 or key[0] != _SECTION or not isinstance(data.get(_SECTION), list):
        return key
    position, rest = key[1], key[2:]
    return (_SECTION, *rest) if position == 0 else (_SECTION, _OTHERS, int(position) - 1, *rest)


def list_evaluations(data: Mapping[str, Any]) -> Iterator[tuple[Key, Mapping[str, Any]]]:
    """
    :param data: a whole configuration as plain data, after :func:`spread_evaluations`
    :return: the key and the content of each evaluation that is a mapping
    """
    first = data.get(_SECTION)
    if not isinstance(first, Mapping):
        return
    yield (_SECTION,), first
    others = first.get(_OTHERS)
    for number, other in enumerate(others if isinstance(others, list) else ()):
        if isinstance(other, Mapping):
            yield (_SECTION, _OTHERS, number), other
