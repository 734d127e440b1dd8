"""The protocol of everything whose state a checkpoint keeps: ``state_dict()`` and ``load_state_dict(state)``."""

from __future__ import annotations

from typing import Any, Protocol, runtime_checkable


@runtime_checkable
class Stateful(Protocol):
    """
    Gives its state as a dictionary, and takes it back, in another process as a rule; the names are torch's.

    Callbacks, opponents, samplers of opponents, games, environments, wrappers and ``VecEnv`` are stateful. A class of
    your own only needs the two methods. What the values of the dictionary may be depends on where they are kept: of a
    callback text, numbers, truth values, ``None``, lists and dictionaries of these, and NumPy arrays; of all others
    whatever can be pickled.
    """

    def state_dict(self) -> dict[str, Any]:
        """
        Capture the state. Changes nothing, and draws no random numbers.

        :return: everything that later behaviour depends on, generators of random numbers included; later changes of
            the object must not show in it
        """

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """
        Replace the state.

        :param state: from :meth:`state_dict` of an object that was made with the same arguments; must not be changed
        """


def describe_outdated_methods(kind: type, getter: str, setter: str) -> str | None:
    """
    Find a class that has the methods of :class:`Stateful` by the names of version 0.1.0, which are called no more.

    :param kind: the class
    :param getter: the earlier name of ``state_dict``
    :param setter: the earlier name of ``load_state_dict``
    :return: what to rename, as a clause of a message; ``None`` if there is nothing to rename
    """
    current = _find_place(kind, "state_dict")
    if all(callable(getattr(kind, name, None)) and _find_place(kind, name) < current for name in (getter, setter)):
        return f"rename {getter}() and {setter}() of {kind.__name__} to state_dict() and load_state_dict(state)"
    return None


def _find_place(kind: type, name: str) -> int:
    """:return: how many classes Python looks into before it finds the name"""
    places = (place for place, base in enumerate(kind.__mro__) if name in vars(base))
    return next(places, len(kind.__mro__))
