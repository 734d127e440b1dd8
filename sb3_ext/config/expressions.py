"""The functions that a search space can apply to a sampled number."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, NamedTuple

from sb3_ext.algorithms.schedules import parse_linear_start


class Expression(NamedTuple):
    """
    A function and its inverse.

    :param apply: sampled number -> value of the configuration
    :param invert: value of the configuration -> number; ``None`` if no number gives this value
    """

    apply: Callable[[float], Any]
    invert: Callable[[Any], float | None]


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _compute_exponent(value: Any) -> float | None:
    if not _is_number(value) or value < 1 or math.log2(value) % 1:
        return None
    return int(math.log2(value))


EXPRESSIONS = {
    "power_of_two": Expression(lambda number: 2 ** int(number), _compute_exponent),
    "linear_schedule": Expression(lambda number: f"linear({number!r})", parse_linear_start),
    "one_minus": Expression(lambda number: 1.0 - number, lambda value: 1.0 - value if _is_number(value) else None),
}
"""``one_minus`` is for discounts and decays, whose distance from 1 is best sampled on a logarithmic scale."""
