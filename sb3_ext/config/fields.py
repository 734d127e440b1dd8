"""
The types of values in a configuration, each with its description for error messages.

Types of numbers, such as ``PositiveInt``, are in :mod:`sb3_ext.ranges`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from typing import Annotated, Any, Literal, get_args

from pydantic import BeforeValidator, Field, StrictBool, ValidationError, ValidatorFunctionWrapHandler, WrapValidator
from pydantic_core import CoreSchema, PydanticCustomError, core_schema

from sb3_ext.problems import describe_value
from sb3_ext.ranges import POSITIVE

_MAX_THREADS = 1024


def expect(what: str) -> WrapValidator:
    """
    Replace pydantic's errors by one that names what was expected and what was found.

    :param what: the kind of value, with an article
    """
    return WrapValidator(_make_validator(what))


class OneOf:
    """
    Metadata of an annotation: one of several words, which the error lists.

    :param words: such as the names of a table; when left out, those of the ``Literal`` that is annotated
    """

    def __init__(self, words: Iterable[str] | None = None) -> None:
        self._words = None if words is None else tuple(words)

    def __get_pydantic_core_schema__(self, source: Any, handler: Any) -> CoreSchema:
        """:return: what validates a key of a configuration that is annotated with these words"""
        words = get_args(source) if self._words is None else self._words
        validator = _make_validator(f"one of {', '.join(words)}")
        return core_schema.no_info_wrap_validator_function(validator, core_schema.literal_schema(list(words)))


def _make_validator(what: str) -> Callable[[Any, ValidatorFunctionWrapHandler], Any]:
    def validate(value: Any, handler: ValidatorFunctionWrapHandler) -> Any:
        try:
            return handler(value)
        except ValidationError:
            raise PydanticCustomError(
                "expected", "expected {what}, found {found}", {"what": what, "found": describe_value(value)}
            ) from None

    return validate


def _format_duration(value: Any) -> str:
    return f"{parse_duration(value):g}s"


def parse_duration(value: Any) -> float:
    """
    :param value: ``90s``, ``10m``, ``1.5h``, or a number of hours
    :return: seconds
    :raises ValueError: if it is not a positive duration
    """
    match = re.fullmatch(r"\s*([0-9]*\.?[0-9]+)\s*([smh]?)\s*", str(value))
    if match is None or isinstance(value, bool):
        raise ValueError("not a duration")
    seconds = float(match[1]) * {"s": 1, "m": 60, "h": 3600, "": 3600}[match[2]]
    if seconds not in POSITIVE:
        raise ValueError("not positive, or too large")
    return seconds


def _check_wrapper(value: Any) -> Any:
    """Accept the name of a class, or a mapping of one name to keyword arguments."""
    if isinstance(value, dict) and len(value) == 1:
        [(name, arguments)] = value.items()
        if isinstance(arguments, dict) or arguments is None:
            _check_wrapper(name)
            return value
    elif isinstance(value, str) and ("." in value or ":" in value):
        return value
    raise ValueError("not a wrapper")


Text = Annotated[str, Field(strict=True, min_length=1), expect("text")]
Flag = Annotated[bool, Field(strict=True), expect("true or false")]
Prefix = Annotated[str, Field(strict=True, pattern=r"^[A-Za-z0-9][A-Za-z0-9_-]*$"), expect("letters, digits, _ and -")]
Arguments = Annotated[dict[str, Any], expect("a mapping of keyword arguments")]
TrackerArguments = Annotated[dict[str, Any] | None, expect("a mapping of keyword arguments, or null")]
Duration = Annotated[
    str, BeforeValidator(_format_duration), expect("a duration such as 90s, 10m, 1.5h, or a number of hours")
]
Wrapper = Annotated[Any, BeforeValidator(_check_wrapper), expect("'module.Class' or {module.Class: {keyword: value}}")]
Normalize = Annotated[StrictBool | dict[str, Any], expect("true, false or VecNormalize's arguments")]
Threads = Annotated[
    Literal["auto"] | Annotated[int, Field(strict=True, gt=0, le=_MAX_THREADS)],
    expect(f"'auto' or a positive number of threads, at most {_MAX_THREADS}"),
]
Device = Annotated[
    str, Field(strict=True, pattern=r"^(auto|cpu|cuda(:\d+)?|mps)$"), expect("auto, cpu, cuda, cuda:0 … or mps")
]
