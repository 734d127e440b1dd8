"""What a search space may do with a number before it becomes a configuration's value: these functions and no others."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, NamedTuple

from sb3_ext.algorithms.schedules import find_linear_start


class Expression(NamedTuple):
    """
    :param apply: from the number that is sampled to the configuration's value
    :param invert: from a configuration's value to the number; ``None`` if no number gives it
    """

    apply: Callable[[float], Any]
    invert: Callable[[Any], float | None]


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _find_exponent(value: Any) -> float | None:
    if not _is_number(value) or value < 1 or math.log2(value) % 1:
        return None
    return int(math.log2(value))


EXPRESSIONS = {
    "power_of_two": Expression(lambda number: 2 ** int(number), _find_exponent),
    "linear_schedule": Expression(lambda number: f"linear({number!r})", find_linear_start),
    "one_minus": Expression(lambda number: 1.0 - number, lambda value: 1.0 - value if _is_number(value) else None),
}
"""``one_minus`` samples what matters of a discount or decay, its distance from 1, on a logarithmic scale."""
