"""Parse the schedules of a configuration: ``linear(3e-4)``, ``linear(1.0, 0.1)``, ``constant(0.2)``."""

from __future__ import annotations

import math
import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from stable_baselines3.common.type_aliases import Schedule

_CALL = re.compile(r"\s*(\w+)\s*\((.*)\)\s*\Z", re.DOTALL)
FORMS = "linear(start), linear(start, end) or constant(value)"


def parse_schedule(text: str) -> Schedule:
    """
    Turn a schedule's text into SB3's own class, which stock SB3 can unpickle from a saved model.

    :param text: ``linear(start)``, ``linear(start, end)`` or ``constant(value)``; ``start`` is the value at the start
        of training, ``end`` (0 when left out) the one at its end
    :return: a function of the remaining progress, from 1 to 0
    :raises ValueError: if the text is not a schedule
    """
    from stable_baselines3.common.utils import ConstantSchedule, LinearSchedule

    name, arguments = _split_call(text)
    if name == "linear" and len(arguments) in (1, 2):
        start, end = (*arguments, 0.0)[:2]
        return LinearSchedule(start, end, end_fraction=1.0)
    if name == "constant" and len(arguments) == 1:
        return ConstantSchedule(arguments[0])
    raise ValueError(f"expected {FORMS}, found '{text}'")


def parse_linear_start(value: object) -> float | None:
    """
    :param value: of a configuration
    :return: ``x`` if it is ``linear(x)``, a decay to 0; ``None`` if it is anything else
    """
    if not is_linear(value):
        return None
    try:
        _, arguments = _split_call(str(value))
    except ValueError:
        return None
    return arguments[0] if len(arguments) == 1 or arguments[1:] == [0.0] else None


def parse_ends(value: object) -> list[float]:
    """
    :param value: of a configuration
    :return: the first and the last value of a schedule; none if it is not a schedule
    """
    try:
        return _split_call(str(value))[1] if isinstance(value, str) else []
    except ValueError:
        return []


def is_linear(value: object) -> bool:
    """Whether a value of a configuration is a schedule that depends on the total number of steps."""
    return isinstance(value, str) and _CALL.match(value) is not None and value.strip().startswith("linear")


def _split_call(text: str) -> tuple[str, list[float]]:
    match = _CALL.match(text)
    try:
        if match is None:
            raise ValueError
        arguments = [float(argument) for argument in match[2].split(",")]
        if not all(math.isfinite(argument) for argument in arguments):
            raise ValueError
    except ValueError:
        raise ValueError(f"expected {FORMS}, found '{text}'") from None
    return match[1], arguments
