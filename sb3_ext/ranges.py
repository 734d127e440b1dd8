"""The values that a number may have, and the words for them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from math import inf
from typing import Any

from sb3_ext.problems import Problem, expected

MAX_INTEGER = 2**63 - 1
MAX_NUMBER = 3.4028234663852886e38  # of torch's float32
_LIMITS = (MAX_INTEGER, MAX_NUMBER, inf)


@dataclass(frozen=True)
class Range:
    """
    The values that a number may have. NaN is never one of them.

    :param words: for messages, with an article
    :param low: the least value
    :param high: the greatest value
    :param excludes_low: everything above ``low``, but not ``low``
    :param excludes_high: everything below ``high``, but not ``high``
    :param is_whole: integers only
    :param also: values outside these bounds that have a meaning of their own
    """

    words: str
    low: float = -MAX_NUMBER
    high: float = MAX_NUMBER
    excludes_low: bool = False
    excludes_high: bool = False
    is_whole: bool = False
    also: tuple[float, ...] = ()

    def __contains__(self, number: Any) -> bool:
        if isinstance(number, bool) or not isinstance(number, int | float):
            return False
        if number in self.also:
            return True
        is_above = number > self.low if self.excludes_low else number >= self.low
        is_below = number < self.high if self.excludes_high else number <= self.high
        return is_above and is_below and (not self.is_whole or isinstance(number, int))

    def validate(self, name: str, number: Any) -> None:
        """
        :param name: of the parameter
        :param number: its value
        :raises ValueError: if the value is outside the range
        """
        if number not in self:
            raise ValueError(f"{name} must be {self.words}, but got {number!r}")

    def describe_mistake(self, number: float) -> str:
        """
        :param number: a value outside the range
        :return: what was expected, and what was found
        """
        limit = ""
        if self.high in _LIMITS and self.high < number < inf:
            limit = f", at most {self.high:.2g}"
        elif -self.low in _LIMITS and -inf < number < self.low:
            limit = f", at least {self.low:.2g}"
        return expected(self.words + limit, number)

    def close(self) -> Range:
        """:return: the same range with its bounds: schedules may begin or end there"""
        return replace(self, excludes_low=False, excludes_high=False)

    def to_json_schema(self) -> dict[str, Any]:
        """:return: JSON Schema of the numbers in this range"""
        schema: dict[str, Any] = {"type": "integer" if self.is_whole else "number"}
        if abs(self.low) not in _LIMITS:
            schema["exclusiveMinimum" if self.excludes_low else "minimum"] = self.low
        if abs(self.high) not in _LIMITS:
            schema["exclusiveMaximum" if self.excludes_high else "maximum"] = self.high
        return {"anyOf": [schema, {"enum": list(self.also)}]} if self.also else schema


FINITE = Range("a finite number")
NON_NEGATIVE = Range("a number >= 0", low=0)
POSITIVE = Range("a positive number", low=0, excludes_low=True)
POSITIVE_OR_INFINITE = Range("a positive number or .inf", low=0, high=inf, excludes_low=True)
FRACTION = Range("a number from 0 to 1", low=0, high=1)
POSITIVE_FRACTION = Range("a number above 0 and at most 1", low=0, high=1, excludes_low=True)
FRACTION_BELOW_ONE = Range("a number from 0 to below 1", low=0, high=1, excludes_high=True)
BETWEEN_ZERO_AND_ONE = Range("a number between 0 and 1", low=0, high=1, excludes_low=True, excludes_high=True)
POSITIVE_INTEGER = Range("a positive integer", low=1, high=MAX_INTEGER, is_whole=True)
NON_NEGATIVE_INTEGER = Range("an integer >= 0", low=0, high=MAX_INTEGER, is_whole=True)
POSITIVE_INTEGER_OR_MINUS_ONE = Range("a positive integer, or -1", low=1, high=MAX_INTEGER, is_whole=True, also=(-1,))


def find_range_problems(given: Mapping[str, Any], ranges: Mapping[str, Range]) -> Iterator[Problem]:
    """
    :param given: values by name; a range holds for every number in a list or mapping
    :param ranges: by the same names; values without one are not looked at
    :return: one problem a number outside its range; values that are not numbers are not looked at
    """
    for name, value in given.items():
        if name in ranges:
            for problem in _find_problems(value, ranges[name]):
                yield problem.below(name)


def _find_problems(value: Any, allowed: Range) -> Iterator[Problem]:
    if isinstance(value, Mapping | list | tuple):
        for key, item in value.items() if isinstance(value, Mapping) else enumerate(value):
            for problem in _find_problems(item, allowed):
                yield problem.below(key)
    elif isinstance(value, int | float) and not isinstance(value, bool) and value not in allowed:
        yield Problem((), allowed.describe_mistake(value))
