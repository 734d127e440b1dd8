"""Check keyword arguments from a configuration against the signature of what they will be given to."""

from __future__ import annotations

import importlib
import inspect
import types
import typing
from collections.abc import Callable, Mapping
from operator import attrgetter
from typing import Any

from pydantic import (
    ConfigDict,
    PydanticSchemaGenerationError,
    TypeAdapter,
    ValidationError,
)

from sb3_ext.errors import describe_error
from sb3_ext.problems import Problem, expected, suggest_name
from sb3_ext.ranges import Range, find_range_problems

_STRICT = ConfigDict(arbitrary_types_allowed=True, strict=True)


def find_argument_problems(
    function: Callable[..., Any],
    given: Mapping[str, Any],
    *,
    owned: Mapping[str, str] | None = None,
    ranges: Mapping[str, Range] | None = None,
) -> list[Problem]:
    """
    Find names that the function does not take, required ones that are missing, and values of another type or out of
    range.

    :param function: a function or class
    :param given: keyword arguments by name
    :param owned: arguments that are passed from elsewhere: name -> what the user should do instead
    :param ranges: of numbers, by the argument's name
    :return: one problem a mistake, keyed by the argument's name
    """
    owned, ranges = owned or {}, ranges or {}
    parameters = read_parameters(function)
    takes_any_name = any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters.values())
    named = {name: parameter for name, parameter in parameters.items() if _is_named(parameter)}
    problems = []
    for name, value in given.items():
        if name in owned:
            problems.append(Problem((name,), f"cannot be set here; {owned[name]}"))
        elif name in named:
            wrong = [problem.below(name) for problem in _find_type_problems(named[name].annotation, value)]
            problems.extend(wrong or find_range_problems({name: value}, ranges))
        elif takes_any_name:
            problems.extend(find_range_problems({name: value}, ranges))
        else:
            candidates = [known for known in named if known not in owned and not known.startswith("_")]
            problems.append(Problem((name,), f"unknown parameter; {suggest_name(name, candidates)}"))
    for name, parameter in named.items():
        if parameter.default is parameter.empty and name not in given and name not in owned:
            problems.append(Problem((name,), "required, but missing"))
    return problems


def read_parameters(function: Callable[..., Any]) -> Mapping[str, inspect.Parameter]:
    """
    A callable's parameters with evaluated annotations where they can be evaluated.

    :param function: a function or class
    :return: name -> parameter, without ``self``; whatever one passes, where there is no signature to read
    """
    try:
        return inspect.signature(function, eval_str=True).parameters
    except NameError:
        names = getattr(inspect.unwrap(function), "__globals__", {})
        return {
            name: parameter.replace(annotation=_evaluate(parameter.annotation, names))
            for name, parameter in inspect.signature(function).parameters.items()
        }
    except (TypeError, ValueError):
        return {"arguments": inspect.Parameter("arguments", inspect.Parameter.VAR_KEYWORD)}


def convert_list(annotation: Any, value: Any) -> Any:
    """
    :param annotation: of a parameter
    :param value: plain data from YAML, which has no tuples
    :return: the tuple that the annotation asks for in the place of a list; any other value as it is
    """
    origins = [typing.get_origin(member) or member for member in union_members(annotation)]
    return tuple(value) if isinstance(value, list) and tuple in origins and list not in origins else value


def convert_lists(function: Callable[..., Any], given: Mapping[str, Any]) -> dict[str, Any]:
    """
    :param function: a function or class
    :param given: keyword arguments by name, plain data
    :return: the same, with tuples in the place of lists where the function's annotations ask for them
    """
    parameters = read_parameters(function)
    return {
        name: convert_list(parameters[name].annotation, value) if name in parameters else value
        for name, value in given.items()
    }


def import_name(name: str) -> Any:
    """
    Import an object by its name.

    :param name: ``module:Name`` or ``module.Name``; after a colon also ``Outer.Inner``
    :return: the object
    :raises LookupError: with a message for the user, if the module or the name in it does not exist
    """
    module_name, separator, attribute = name.partition(":")
    if not separator:
        module_name, _, attribute = name.rpartition(".")
    if not module_name or not attribute:
        raise LookupError(f"expected 'module:Name', found '{name}'")
    module = import_module(module_name)
    try:
        return attrgetter(attribute)(module)
    except AttributeError:
        names = [known for known in dir(module) if not known.startswith("_")]
        raise LookupError(f"module '{module_name}' has no '{attribute}'; {suggest_name(attribute, names)}") from None


def import_module(name: str) -> types.ModuleType:
    """
    Import a module, whatever it does on import.

    :param name: with dots
    :return: the module
    :raises LookupError: with one line for the user, if it does not exist or fails
    """
    try:
        return importlib.import_module(name)
    except (Exception, SystemExit) as error:
        raise LookupError(f"cannot import module '{name}': {describe_error(error)}") from error


def union_members(annotation: Any) -> tuple[Any, ...]:
    """The members of a union annotation; of any other, itself alone."""
    if typing.get_origin(annotation) in (typing.Union, types.UnionType):
        return typing.get_args(annotation)
    return (annotation,)


def _evaluate(annotation: Any, names: dict[str, Any]) -> Any:
    """An annotation that is text, evaluated; the text itself where a name in it exists for type checkers only."""
    try:
        return eval(annotation, names) if isinstance(annotation, str) else annotation
    except Exception:
        return annotation


def _is_named(parameter: inspect.Parameter) -> bool:
    return parameter.name != "self" and parameter.kind in (
        parameter.POSITIONAL_OR_KEYWORD,
        parameter.KEYWORD_ONLY,
    )


def _find_type_problems(annotation: Any, value: Any) -> list[Problem]:
    """Annotations of plain types only: what numbers are to NumPy's own types is for the callee to say."""
    if not all((typing.get_origin(member) or member) in _PLAIN_NAMES for member in union_members(annotation)):
        return []
    try:
        TypeAdapter(annotation, config=_STRICT).validate_python(convert_list(annotation, value))
    except PydanticSchemaGenerationError:
        return []  # type[...] of something that pydantic cannot check
    except ValidationError:
        return [Problem((), expected(describe_annotation(annotation), value))]
    return []


_PLAIN_NAMES: dict[Any, str] = {
    int: "an integer",
    float: "a number",
    bool: "true or false",
    str: "text",
    dict: "a mapping",
    list: "a list",
    tuple: "a list",
    type(None): "null",
    type: "a class as 'module:Name'",
    Callable: "a schedule such as linear(3e-4)",
}


def describe_annotation(annotation: Any) -> str:
    """A type annotation in the words of a YAML file: ``a number, a schedule such as linear(3e-4) or null``."""
    names: list[str] = []
    for member in union_members(annotation):
        origin = typing.get_origin(member) or member
        names.append(_PLAIN_NAMES.get(origin) or str(getattr(origin, "__name__", origin)))
    unique = list(dict.fromkeys(names))
    return unique[0] if len(unique) == 1 else f"{', '.join(unique[:-1])} or {unique[-1]}"
