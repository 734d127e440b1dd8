"""The kinds of values that a configuration has, each with the words that describe it in an error."""

from __future__ import annotations

import re
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, StrictBool, ValidationError, ValidatorFunctionWrapHandler, WrapValidator
from pydantic_core import PydanticCustomError

from sb3_ext.problems import describe_value
from sb3_ext.ranges import MAX_INTEGER, POSITIVE

_MAX_THREADS = 1024


def expect(what: str) -> WrapValidator:
    """
    Whatever is wrong with a value, say what was expected and what was found.

    :param what: the kind of value, with an article
    """

    def validate(value: Any, handler: ValidatorFunctionWrapHandler) -> Any:
        try:
            return handler(value)
        except ValidationError:
            raise PydanticCustomError(
                "expected", "expected {what}, found {found}", {"what": what, "found": describe_value(value)}
            ) from None

    return WrapValidator(validate)


def _format_duration(value: Any) -> str:
    return f"{parse_duration(value):g}s"


def parse_duration(value: Any) -> float:
    """
    :param value: ``90s``, ``10m``, ``1.5h``, or a number of hours
    :return: seconds
    :raises ValueError: if it is neither, or not positive
    """
    match = re.fullmatch(r"\s*([0-9]*\.?[0-9]+)\s*([smh]?)\s*", str(value))
    if match is None or isinstance(value, bool):
        raise ValueError("no duration")
    seconds = float(match[1]) * {"s": 1, "m": 60, "h": 3600, "": 3600}[match[2]]
    if seconds not in POSITIVE:
        raise ValueError("not positive, or beyond all bounds")
    return seconds


def _check_wrapper(value: Any) -> Any:
    """A class by name, or one name with keyword arguments."""
    if isinstance(value, dict) and len(value) == 1:
        [(name, arguments)] = value.items()
        if isinstance(arguments, dict) or arguments is None:
            _check_wrapper(name)
            return value
    elif isinstance(value, str) and ("." in value or ":" in value):
        return value
    raise ValueError("no wrapper")


def expect_one_of(*choices: str) -> WrapValidator:
    """:func:`expect` one of several words."""
    return expect(f"one of {', '.join(choices)}")


def _accept_whole_number(value: Any) -> Any:
    """1e6 is how people write a million; YAML reads it as a float."""
    return int(value) if isinstance(value, float) and value.is_integer() else value


Text = Annotated[str, Field(strict=True, min_length=1), expect("text")]
Flag = Annotated[bool, Field(strict=True), expect("true or false")]
Seed = Annotated[int, Field(strict=True, ge=0, lt=2**32), expect("an integer from 0 to 4294967295")]
PositiveInt = Annotated[
    int, Field(strict=True, gt=0, le=MAX_INTEGER), BeforeValidator(_accept_whole_number), expect("a positive integer")
]
NonNegativeInt = Annotated[
    int, Field(strict=True, ge=0, le=MAX_INTEGER), BeforeValidator(_accept_whole_number), expect("an integer >= 0")
]
Fraction = Annotated[float, Field(strict=True, ge=0, le=1, allow_inf_nan=False), expect("a number from 0 to 1")]
Number = Annotated[float, Field(strict=True, allow_inf_nan=False), expect("a number")]
Positive = Annotated[float, Field(strict=True, gt=0, allow_inf_nan=False), expect("a positive number")]
Prefix = Annotated[str, Field(strict=True, pattern=r"^[A-Za-z0-9][A-Za-z0-9_-]*$"), expect("letters, digits, _ and -")]
NonNegative = Annotated[float, Field(strict=True, ge=0, allow_inf_nan=False), expect("a number >= 0")]
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
StartPolicy = Annotated[
    Literal["random", "agent_first", "opponent_first", "alternate"],
    expect_one_of("random", "agent_first", "opponent_first", "alternate"),
]
IllegalMove = Annotated[Literal["mask", "lose", "random_legal"], expect_one_of("mask", "lose", "random_legal")]
Sampling = Annotated[Literal["uniform", "latest", "prioritized"], expect_one_of("uniform", "latest", "prioritized")]
Eviction = Annotated[Literal["oldest", "reservoir"], expect_one_of("oldest", "reservoir")]
ReturnSource = Annotated[Literal["training_return", "evaluation"], expect_one_of("training_return", "evaluation")]
Device = Annotated[
    str, Field(strict=True, pattern=r"^(auto|cpu|cuda(:\d+)?|mps)$"), expect("auto, cpu, cuda, cuda:0 … or mps")
]
