"""
Ranges of numbers, with words for messages.

A key of a configuration whose annotation is one of the types here, such as ``PositiveInt``, takes no other numbers;
nor does such a parameter of a function with the decorator :func:`~sb3_ext.arguments.validate_arguments`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from math import inf, isinf
from numbers import Integral, Real
from typing import TYPE_CHECKING, Annotated, Any, TypeAlias

from sb3_ext.problems import Problem, expected

if TYPE_CHECKING:
    from pydantic_core import CoreSchema

MAX_INTEGER = 2**63 - 1
MAX_NUMBER = 3.4028234663852886e38  # of torch's float32
_LIMITS = (MAX_INTEGER, MAX_NUMBER, inf)


@dataclass(frozen=True)
class Range:
    """
    A range of numbers. NaN is never in it.

    As metadata of an annotation, such as ``Annotated[int, POSITIVE_INTEGER]``, it is also a type of pydantic's.

    :param words: for messages, with an article
    :param low: the least value
    :param high: the greatest value
    :param excludes_low: whether ``low`` itself is excluded
    :param excludes_high: whether ``high`` itself is excluded
    :param is_whole: whether it has integers only
    :param also: single values outside these bounds that are included, such as -1
    """

    words: str
    low: float = -MAX_NUMBER
    high: float = MAX_NUMBER
    excludes_low: bool = False
    excludes_high: bool = False
    is_whole: bool = False
    also: tuple[float, ...] = ()

    def __contains__(self, number: Any) -> bool:
        if not _is_number(number):
            return False
        if number in self.also:
            return True
        is_above = number > self.low if self.excludes_low else number >= self.low
        is_below = number < self.high if self.excludes_high else number <= self.high
        return is_above and is_below and (not self.is_whole or isinstance(number, Integral))

    def convert(self, number: Any) -> Any:
        """
        :param number: any value
        :return: the same; as an integer if only integers are in the range and it is a whole one such as 1e6
        """
        is_converted = self.is_whole and isinstance(number, float) and number.is_integer()
        return int(number) if is_converted else number

    def validate(self, name: str, number: Any) -> Any:
        """
        :param name: of the parameter
        :param number: its value
        :return: the value, converted as by :meth:`convert`
        :raises ValueError: if it is outside the range, or not a number
        """
        converted = self.convert(number)
        if converted not in self:
            raise ValueError(f"{name} {self._describe_rule(converted)}, but got {number!r}")
        return converted

    def _describe_rule(self, number: Any) -> str:
        if _is_number(number) and isinf(number):
            return f"must be {self.words}, not infinite"
        is_too_low = _is_number(number) and number < self.low + self.excludes_low
        if is_too_low and self.high in _LIMITS and (self.low, self.excludes_low) in ((0, True), (1, False)):
            return "must be positive"
        if is_too_low and self.high in _LIMITS and self.low == 0:
            return "cannot be negative"
        return f"must be {self.words}"

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
        """:return: the same range with its bounds included, since schedules may start or end there"""
        return replace(self, excludes_low=False, excludes_high=False)

    def to_json_schema(self) -> dict[str, Any]:
        """:return: JSON Schema of the numbers in this range"""
        schema: dict[str, Any] = {"type": "integer" if self.is_whole else "number"}
        if abs(self.low) not in _LIMITS:
            schema["exclusiveMinimum" if self.excludes_low else "minimum"] = self.low
        if abs(self.high) not in _LIMITS:
            schema["exclusiveMaximum" if self.excludes_high else "maximum"] = self.high
        return {"anyOf": [schema, {"enum": list(self.also)}]} if self.also else schema

    def __get_pydantic_core_schema__(self, source: Any, handler: Any) -> CoreSchema:
        """:return: what validates a key of a configuration that is annotated with this range"""
        from pydantic_core import PydanticCustomError, core_schema

        def validate(value: Any) -> Any:
            number = self.convert(value)
            if number not in self:
                raise PydanticCustomError("expected", "{message}", {"message": expected(self.words, value)})
            return number if self.is_whole else float(number)

        return core_schema.no_info_plain_validator_function(validate)

    def __get_pydantic_json_schema__(self, schema: Any, handler: Any) -> dict[str, Any]:
        """:return: JSON Schema of such a key"""
        return self.to_json_schema()


def _is_number(value: Any) -> bool:
    return isinstance(value, Real) and not isinstance(value, bool)


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
SEED = Range(f"an integer from 0 to {2**32 - 1}", low=0, high=2**32 - 1, is_whole=True)

Finite: TypeAlias = Annotated[float, FINITE]
NonNegative: TypeAlias = Annotated[float, NON_NEGATIVE]
Positive: TypeAlias = Annotated[float, POSITIVE]
Fraction: TypeAlias = Annotated[float, FRACTION]
PositiveFraction: TypeAlias = Annotated[float, POSITIVE_FRACTION]
PositiveInt: TypeAlias = Annotated[int, POSITIVE_INTEGER]
NonNegativeInt: TypeAlias = Annotated[int, NON_NEGATIVE_INTEGER]
Seed: TypeAlias = Annotated[int, SEED]


def find_range_problems(given: Mapping[str, Any], ranges: Mapping[str, Range]) -> Iterator[Problem]:
    """
    :param given: values by name; in lists and mappings, every number is checked
    :param ranges: by the same names; values without one are not checked
    :return: one problem for each number outside its range; values that are not numbers are not checked
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
