"""Find the part of an object that cannot be sent to another process."""

from __future__ import annotations

import io
from collections.abc import Iterator, Mapping
from typing import Any

import cloudpickle  # type: ignore[import-untyped]


def find_unpicklable(value: Any, name: str) -> str:
    """
    :param value: an object that cannot be pickled
    :param name: of the object
    :return: the innermost part that cannot be pickled, with the path to it
    """
    for part_name, part in _list_parts(value):
        if not _is_picklable(part):
            return find_unpicklable(part, f"{name}{part_name}")
    return f"{name} ({type(value).__module__}.{type(value).__qualname__})"


def _list_parts(value: Any) -> Iterator[tuple[str, Any]]:
    if isinstance(value, Mapping):
        yield from ((f"[{key!r}]", part) for key, part in value.items())
    elif isinstance(value, list | tuple):
        yield from ((f"[{index}]", part) for index, part in enumerate(value))
    code, cells = getattr(value, "__code__", None), getattr(value, "__closure__", None)
    if code is not None and cells is not None:
        for variable, cell in zip(code.co_freevars, cells, strict=True):
            yield f".{variable}", cell.cell_contents
    if code is not None:
        known = value.__globals__
        yield from ((f".{variable}", known[variable]) for variable in code.co_names if variable in known)
    for attribute in ("func", "args", "keywords", "__self__"):
        if hasattr(value, attribute) and not isinstance(value, type):
            yield f".{attribute}", getattr(value, attribute)
    if hasattr(value, "__dict__") and not isinstance(value, type) and code is None:
        yield from ((f".{attribute}", part) for attribute, part in vars(value).items())


def _is_picklable(value: Any) -> bool:
    try:
        cloudpickle.dump(value, io.BytesIO())
    except Exception:  # the code of any class runs here
        return False
    return True
