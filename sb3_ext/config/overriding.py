"""Set single values in a configuration as plain data."""

from __future__ import annotations

from typing import Any

from sb3_ext.config.source import Override
from sb3_ext.problems import Key, Problem, expected


def apply_override(data: dict[str, Any], override: Override) -> tuple[Key, Problem | None]:
    """
    Set one value in place, and add the mappings above it that are missing.

    :param data: a whole configuration as plain data
    :param override: the value and its key
    :return: the key with list positions in place of the types of callbacks; and the mistake in it, if there is one
    """
    target: Any = data
    key: list[str | int] = []
    for depth, part in enumerate(override.key):
        last = depth == len(override.key) - 1
        if isinstance(target, list):
            part = _find_item(target, part)
        elif isinstance(target, dict):
            part = str(part)
        key.append(part)
        if isinstance(target, list) and (isinstance(part, str) or part >= len(target)):
            return tuple(key), Problem(tuple(key), f"no item '{part}' in a list of {len(target)}")
        if not isinstance(target, list | dict):
            return tuple(key), Problem(tuple(key), f"{expected('a mapping', target)} above this key")
        container: Any = target  # a list with a position, or a mapping with a name
        if last and override.keeps is not None and isinstance(container, dict) and override.keeps(container.get(part)):
            pass
        elif last:
            container[part] = override.value
        elif isinstance(container, dict) and container.get(part) is None:
            container[part] = [] if part == "callbacks" else {}
        target = container[part]
    return tuple(key), None


def _find_item(items: list[Any], part: str | int) -> str | int:
    """Return the position of the first callback of this type, after adding one if there is none."""
    if isinstance(part, int):
        return part
    for index, item in enumerate(items):
        if isinstance(item, dict) and item.get("type") == part:
            return index
    if any(not isinstance(item, dict) for item in items):
        return part
    items.append({"type": part})
    return len(items) - 1
