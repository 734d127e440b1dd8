"""What keeps an engine from updating a model."""

from __future__ import annotations


class NotCovered(Exception):
    """
    An engine cannot update a model.

    :param reason: what of the model is not covered, for people
    """

    def __init__(self, reason: str) -> None:
        self.reason = reason
        super().__init__(reason)


def name_type(value: object) -> str:
    """
    :param value: an object, or a class
    :return: the name of its class, for the reason why a model is not covered
    """
    return value.__name__ if isinstance(value, type) else type(value).__name__
