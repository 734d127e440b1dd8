"""List the callbacks of a training, including nested ones."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from stable_baselines3.common.callbacks import BaseCallback, CallbackList


def list_callbacks(callbacks: BaseCallback | Sequence[BaseCallback]) -> list[BaseCallback]:
    """
    List callbacks with those nested in them: in SB3's ``CallbackList``, or in an attribute, as in SB3's
    ``EventCallback``.

    :param callbacks: the argument ``callback`` of ``learn``
    :return: each callback once, an outer one before those nested in it
    """
    found: dict[int, BaseCallback] = {}
    _collect([callbacks] if isinstance(callbacks, BaseCallback) else callbacks, found)
    return list(found.values())


def _collect(callbacks: Iterable[BaseCallback], found: dict[int, BaseCallback]) -> None:
    for callback in callbacks:
        if id(callback) not in found:
            found[id(callback)] = callback
            inner = callback.callbacks if isinstance(callback, CallbackList) else vars(callback).values()
            # Not isinstance: BaseCallback is an abstract class, and its test of a type that it has not seen takes ms.
            _collect([value for value in inner if BaseCallback in type(value).__mro__], found)
