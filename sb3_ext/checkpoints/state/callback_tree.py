"""The callbacks of a training, wherever they are nested, and how those of one class are told apart."""

from __future__ import annotations

import inspect
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

from stable_baselines3.common.callbacks import BaseCallback, CallbackList

_ATOMS = (str, int, float, bool, type(None))
_MAX_ITEMS = 20  # a longer list is rather what a callback has gathered


def list_callbacks(callbacks: BaseCallback | Sequence[BaseCallback]) -> list[BaseCallback]:
    """
    List callbacks with all that are nested in them: in SB3's ``CallbackList``, or as an attribute, as SB3's event
    callbacks hold theirs.

    :param callbacks: what ``learn`` takes
    :return: each once, an outer one before what is nested in it
    """
    found: dict[int, BaseCallback] = {}
    _collect([callbacks] if isinstance(callbacks, BaseCallback) else callbacks, found)
    return list(found.values())


def name_callbacks(callbacks: BaseCallback | Sequence[BaseCallback]) -> Iterator[tuple[str, BaseCallback]]:
    """
    Name callbacks by their class and their place among those of the same class.

    :param callbacks: what ``learn`` takes
    :return: names such as ``MetricsCallback/1`` with their callbacks
    """
    count: Counter[str] = Counter()
    for callback in list_callbacks(callbacks):
        kind = type(callback).__name__
        count[kind] += 1
        yield f"{kind}/{count[kind]}", callback


def find_key(callback: BaseCallback) -> str:
    """
    Find what identifies a callback among others of its class, wherever it stands in the list.

    :param callback: any
    :return: its ``state_key`` as ``=key``, if it has that attribute; otherwise the arguments of its constructor that
        are plain values and kept in an attribute of the same name (a leading underscore does not count), as
        ``(every=5, name='a')``
    """
    state_key = getattr(callback, "state_key", None)
    if state_key is not None:
        return f"={state_key}"
    arguments = ((name, _get_argument(callback, name)) for name in sorted(_list_parameters(type(callback))))
    return f"({', '.join(f'{name}={value!r}' for name, value in arguments if _is_plain(value))})"


def match_names(saved: Mapping[str, str], present: Mapping[str, str]) -> dict[str, str]:
    """
    Find for each callback which of the saved ones it was.

    Among callbacks of one class, a ``state_key`` decides. The others are found by their arguments, as long as one side
    has all that the other side has, and otherwise by their order: an argument may have changed.

    :param saved: keys by name, as in the checkpoint
    :param present: keys by name, as in the training that resumes
    :return: saved names by present names
    """
    matches: dict[str, str] = {}
    for kind in dict.fromkeys(map(_get_kind, present)):
        before, now = _number_keys(saved, kind), _number_keys(present, kind)
        matches |= {now[key]: before[key] for key in now if key.startswith("=") and key in before}
        # One that got a state_key since then is among the others.
        others = {key: name for key, name in now.items() if name not in matches}
        before = {key: name for key, name in before.items() if not key.startswith("=")}
        if others.keys() <= before.keys() or before.keys() <= others.keys():
            matches |= {others[key]: before[key] for key in others if key in before}
        else:
            matches |= dict(zip(others.values(), before.values(), strict=False))
    return matches


def _collect(callbacks: Iterable[BaseCallback], found: dict[int, BaseCallback]) -> None:
    for callback in callbacks:
        if id(callback) not in found:
            found[id(callback)] = callback
            inner = callback.callbacks if isinstance(callback, CallbackList) else vars(callback).values()
            _collect([value for value in inner if isinstance(value, BaseCallback)], found)


@cache
def _list_parameters(kind: type) -> set[str]:
    constructors = [vars(base)["__init__"] for base in kind.__mro__ if base is not object and "__init__" in vars(base)]
    return {name for constructor in constructors for name in inspect.signature(constructor).parameters}


def _get_argument(callback: BaseCallback, name: str) -> Any:
    attributes = vars(callback)
    value = attributes.get(name, attributes.get(f"_{name}", callback))
    return str(value) if isinstance(value, Path) else value


def _is_plain(value: Any) -> bool:
    if isinstance(value, (list, tuple)):
        return len(value) <= _MAX_ITEMS and all(map(_is_plain, value))
    return isinstance(value, _ATOMS)


def _number_keys(keys: Mapping[str, str], kind: str) -> dict[str, str]:
    """:return: the names of one class by their keys; equal keys are numbered"""
    count: Counter[str] = Counter()
    numbered = {}
    for name, key in keys.items():
        if _get_kind(name) == kind:
            count[key] += 1
            numbered[f"{key}/{count[key]}"] = name
    return numbered


def _get_kind(name: str) -> str:
    return name.rpartition("/")[0]
