"""Error for models that an engine cannot update."""

from __future__ import annotations


class NotCovered(Exception):
    """
    Raised if an engine cannot update a model.

    :param reason: the unsupported part of the model, for messages
    """

    def __init__(self, reason: str) -> None:
        self.reason = reason
        super().__init__(reason)


def name_type(value: object) -> str:
    """
    :param value: an object, or a class
    :return: name of its class, for messages
    """
    return value.__name__ if isinstance(value, type) else type(value).__name__
