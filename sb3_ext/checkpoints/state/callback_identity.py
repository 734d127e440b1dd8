"""Match the callbacks of a resumed training to those in a checkpoint."""

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
_MAX_ITEMS = 20  # a longer list is probably collected data, not an argument


@dataclass(frozen=True)
class CallbackIdentity:
    """
    Identifies a callback in a checkpoint.

    :param key: the callback's ``state_key``; ``None`` if it has none
    :param kind: name of its class
    :param arguments: constructor arguments that are plain values and kept in an attribute of the same name (with or
        without a leading underscore), such as ``(every=5, name='a')``
    """

    key: str | None
    kind: str
    arguments: str

    @property
    def name(self) -> str:
        """Name of the callback in messages."""
        return f"{self.key or self.kind}{self.arguments}"


def identify(callback: BaseCallback) -> CallbackIdentity:
    """
    :param callback: a callback
    :return: its identity, which does not depend on its place in the list
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
    Match each callback of a resumed training to a saved one.

    Callbacks match by key or, if the saved one has no key, by class. Several with the same key or class are matched by
    their arguments if all arguments of one side occur on the other; otherwise, since an argument may have changed, by
    their order.

    :param saved: callbacks of the checkpoint
    :param present: callbacks of the resumed training
    :return: index in ``saved`` by index in ``present``
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
    """:return: indices by arguments and a number that distinguishes equal arguments"""
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
