"""
Check arguments against the signature of a function: those of a configuration with :func:`find_argument_problems`
before the call, those of a script with the decorator :func:`validate_arguments` in the call.
"""

from __future__ import annotations

import functools
import importlib
import inspect
import operator
import types
import typing
from collections.abc import Callable, Mapping, Sequence
from operator import attrgetter
from typing import Annotated, Any, Literal, ParamSpec, TypeVar

from pydantic import ConfigDict, PydanticSchemaGenerationError, TypeAdapter, ValidationError

from sb3_ext.errors import describe_error
from sb3_ext.problems import Problem, expected, suggest_name
from sb3_ext.ranges import Range, find_range_problems

_STRICT = ConfigDict(arbitrary_types_allowed=True, strict=True)

P = ParamSpec("P")
R = TypeVar("R")


def find_argument_problems(
    function: Callable[..., Any],
    given: Mapping[str, Any],
    *,
    owned: Mapping[str, str] | None = None,
    ranges: Mapping[str, Range] | None = None,
) -> list[Problem]:
    """
    Find unknown names, missing required arguments, and values of the wrong type or out of range.

    :param function: a function or class
    :param given: keyword arguments by name
    :param owned: arguments that are set elsewhere: name -> what to do instead
    :param ranges: of numbers, by the argument's name, for parameters whose annotation has no range
    :return: one problem for each mistake, keyed by the argument's name
    """
    owned, ranges = owned or {}, ranges or {}
    parameters = read_parameters(function)
    takes_any_name = any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters.values())
    named = {name: parameter for name, parameter in parameters.items() if _is_named(parameter)}
    ranges = {**ranges, **read_ranges(named)}
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


def validate_arguments(function: Callable[P, R]) -> Callable[P, R]:
    """
    Decorator: each call refuses values that the annotations of the parameters exclude, with a ``ValueError``.

    These are numbers outside a range such as ``PositiveInt`` of :mod:`sb3_ext.ranges`, and values other than the
    choices of a ``Literal``; other annotations are not checked. A whole number such as 1e6 is passed on as an integer
    where an integer is expected.

    :param function: with annotations
    :return: the same, with the check
    """
    signature = inspect.signature(function)

    @functools.cache
    def read_annotations() -> Mapping[str, Any]:  # in the first call: the names in annotations are known then
        return {name: parameter.annotation for name, parameter in read_parameters(function).items()}

    @functools.wraps(function)
    def validated(*arguments: P.args, **keywords: P.kwargs) -> R:
        try:
            bound = signature.bind(*arguments, **keywords)
        except TypeError:
            return function(*arguments, **keywords)  # raises it in Python's own words
        for name, annotation in read_annotations().items():
            if name in bound.arguments:
                bound.arguments[name] = _validate(name, annotation, bound.arguments[name])
        return function(*bound.args, **bound.kwargs)

    return validated


def _validate(name: str, annotation: Any, value: Any) -> Any:
    members = union_members(annotation)
    if value is None and type(None) in members:
        return None
    allowed = find_range(annotation)
    if allowed is not None:
        return allowed.validate(name, value)
    choices = [
        choice for member in members if typing.get_origin(member) is Literal for choice in typing.get_args(member)
    ]
    if choices and value not in choices:
        raise ValueError(f"{name} must be {' or '.join(map(repr, choices))}, but got {value!r}")
    return value


def find_range(annotation: Any) -> Range | None:
    """
    :param annotation: of a parameter
    :return: the range of the numbers that it admits, such as of ``PositiveInt | None``; ``None`` if it has none
    """
    for member in _split_union(annotation):
        if typing.get_origin(member) is Annotated:
            for metadata in member.__metadata__:
                if isinstance(metadata, Range):
                    return metadata
    return None


def read_ranges(parameters: Mapping[str, inspect.Parameter]) -> dict[str, Range]:
    """
    :param parameters: of a function, by name
    :return: the ranges in their annotations, by name
    """
    found = {name: find_range(parameter.annotation) for name, parameter in parameters.items()}
    return {name: allowed for name, allowed in found.items() if allowed is not None}


def read_parameters(function: Callable[..., Any]) -> Mapping[str, inspect.Parameter]:
    """
    Read the parameters of a callable. Annotations are evaluated where that is possible.

    :param function: a function or class
    :return: name -> parameter, without ``self``; a single ``**arguments`` if there is no signature
    """
    try:
        return inspect.signature(function, eval_str=True).parameters
    except NameError:
        code = function.__init__ if inspect.isclass(function) else function
        names = getattr(inspect.unwrap(code), "__globals__", {})
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
    :return: a tuple if the value is a list and the annotation needs a tuple; any other value as it is
    """
    origins = [typing.get_origin(member) or member for member in union_members(annotation)]
    return tuple(value) if isinstance(value, list) and tuple in origins and list not in origins else value


def convert_lists(function: Callable[..., Any], given: Mapping[str, Any]) -> dict[str, Any]:
    """
    :param function: a function or class
    :param given: keyword arguments by name, plain data
    :return: the same, with lists converted to tuples where the annotations need tuples
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
    Import a module. Any error that it raises becomes a ``LookupError``.

    :param name: with dots
    :return: the module
    :raises LookupError: with one line for the user, if it does not exist or its import fails
    """
    try:
        return importlib.import_module(name)
    except (Exception, SystemExit) as error:
        raise LookupError(f"cannot import module '{name}': {describe_error(error)}") from error


def union_members(annotation: Any) -> tuple[Any, ...]:
    """
    :param annotation: of a parameter
    :return: the members of a union; of any other annotation, itself alone; all without the metadata of ``Annotated``
    """
    return tuple(_strip(member) for member in _split_union(annotation))


def _strip(annotation: Any) -> Any:
    return annotation.__origin__ if typing.get_origin(annotation) is Annotated else annotation


def _split_union(annotation: Any) -> tuple[Any, ...]:
    if typing.get_origin(annotation) in (typing.Union, types.UnionType):
        return typing.get_args(annotation)
    return (annotation,)


def _evaluate(annotation: Any, names: dict[str, Any]) -> Any:
    """Evaluate an annotation that is text; return the text if a name in it exists only for type checkers."""
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
    """Check plain types only; the function itself checks NumPy's types and others."""
    members = union_members(annotation)
    if not all((typing.get_origin(member) or member) in (*_PLAIN_NAMES, Literal) for member in members):
        return []
    try:
        TypeAdapter(functools.reduce(operator.or_, members), config=_STRICT).validate_python(
            convert_list(annotation, value)
        )
    except PydanticSchemaGenerationError:
        return []  # type[...] of something that pydantic cannot check
    except ValidationError:
        return _find_inner_problems(members, value) or [Problem((), expected(describe_annotation(annotation), value))]
    return []


def _find_inner_problems(members: Sequence[Any], value: Any) -> list[Problem]:
    """:return: the problems of the elements of a list or a mapping, if the annotation has one of such elements"""
    for member in members:
        origin, arguments = typing.get_origin(member), typing.get_args(member)
        if origin is list and isinstance(value, list):
            items: list[tuple[Any, Any]] = list(enumerate(value))
        elif origin is dict and isinstance(value, dict):
            items = list(value.items())
        else:
            continue
        problems = [problem.below(key) for key, item in items for problem in _find_type_problems(arguments[-1], item)]
        if problems:
            return problems
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
    """Describe a type annotation for YAML: ``a number, a schedule such as linear(3e-4) or null``."""
    unique = list(dict.fromkeys(map(_describe_member, _split_union(annotation))))
    return unique[0] if len(unique) == 1 else f"{', '.join(unique[:-1])} or {unique[-1]}"


def _describe_member(annotation: Any) -> str:
    allowed = find_range(annotation)
    if allowed is not None:
        return allowed.words
    member = _strip(annotation)
    origin = typing.get_origin(member) or member
    if origin is Literal:
        choices = ", ".join(map(str, typing.get_args(member)))
        return f"one of {choices}" if "," in choices else choices
    return _PLAIN_NAMES.get(origin) or str(getattr(origin, "__name__", origin))
