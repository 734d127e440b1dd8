"""How a callback is found again in a checkpoint."""

from __future__ import annotations

import inspect
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from stable_baselines3.common.callbacks import BaseCallback

_ATOMS = (str, int, float, bool, type(None))
_MAX_ITEMS = 20  # a longer list is rather data that a callback has collected


@dataclass(frozen=True)
class CallbackIdentity:
    """
    :param key: the callback's ``state_key``; ``None`` if it has none
    :param kind: the name of its class
    :param arguments: those of its constructor that are plain values and kept in an attribute of the same name (a
        leading underscore does not count), such as ``(every=5, name='a')``
    """

    key: str | None
    kind: str
    arguments: str

    @property
    def name(self) -> str:
        """What messages call the callback."""
        return f"{self.key or self.kind}{self.arguments}"


def identify(callback: BaseCallback) -> CallbackIdentity:
    """
    :param callback: any
    :return: what identifies it among other callbacks, wherever it stands in the list
    """
    state_key = getattr(callback, "state_key", None)
    arguments = ((name, _get_argument(callback, name)) for name in sorted(_list_parameters(type(callback))))
    return CallbackIdentity(
        key=None if state_key is None else str(state_key),
        kind=type(callback).__name__,
        arguments=f"({', '.join(f'{name}={value!r}' for name, value in arguments if _is_plain(value))})",
    )


def match_callbacks(saved: Sequence[CallbackIdentity], present: Sequence[CallbackIdentity]) -> dict[int, int]:
    """
    Find for each callback which of the saved ones it was.

    The key decides; the class, where the saved one has no key. Several of one key, or class, are found by their
    arguments, as long as one side has all that the other side has, and otherwise by their order: an argument may have
    changed.

    :param saved: those of the checkpoint
    :param present: those of the training that resumes
    :return: indices of saved ones by indices of present ones
    """
    matches: dict[int, int] = {}
    for key in dict.fromkeys(identity.key for identity in present if identity.key is not None):
        before = [index for index, identity in enumerate(saved) if identity.key == key]
        now = [index for index, identity in enumerate(present) if identity.key == key]
        matches |= _match_alike(saved, before, present, now)
    for kind in dict.fromkeys(identity.kind for identity in present):
        before = [index for index, identity in enumerate(saved) if identity.key is None and identity.kind == kind]
        now = [index for index, identity in enumerate(present) if index not in matches and identity.kind == kind]
        matches |= _match_alike(saved, before, present, now)
    return matches


def _match_alike(
    saved: Sequence[CallbackIdentity], before: list[int], present: Sequence[CallbackIdentity], now: list[int]
) -> dict[int, int]:
    numbered_before = _number((saved[index].arguments, index) for index in before)
    numbered_now = _number((present[index].arguments, index) for index in now)
    if numbered_now.keys() <= numbered_before.keys() or numbered_before.keys() <= numbered_now.keys():
        return {index: numbered_before[name] for name, index in numbered_now.items() if name in numbered_before}
    return dict(zip(now, before, strict=False))


def _number(indices: Iterable[tuple[str, int]]) -> dict[tuple[str, int], int]:
    """:return: indices by their arguments; equal arguments are numbered"""
    count: Counter[str] = Counter()
    numbered = {}
    for arguments, index in indices:
        count[arguments] += 1
        numbered[arguments, count[arguments]] = index
    return numbered


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
