"""The callbacks of a training, wherever they are nested."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from stable_baselines3.common.callbacks import BaseCallback, CallbackList


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


def _collect(callbacks: Iterable[BaseCallback], found: dict[int, BaseCallback]) -> None:
    for callback in callbacks:
        if id(callback) not in found:
            found[id(callback)] = callback
            inner = callback.callbacks if isinstance(callback, CallbackList) else vars(callback).values()
            _collect([value for value in inner if isinstance(value, BaseCallback)], found)
