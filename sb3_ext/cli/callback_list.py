"""What can stand in ``train.callbacks``, for people to read."""

from __future__ import annotations

import inspect
import re
import typing
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Literal

from sb3_ext.cli.tables import bold, format_definitions, wrap

_PARAMETER = re.compile(r":param (\w+):\s*(.*?)(?=\n\s*:|\Z)", re.DOTALL)
_YAML_TYPES = (int, float, bool, str, dict, list, tuple, type(None))
_ROLE = re.compile(r":\w+:`~?([^`]*)`|``([^`]*)``")


def format_callbacks(width: int | None) -> list[str]:
    """
    List every callback that a configuration can name, with its parameters, and what switches on the others.

    :param width: of the terminal; ``None`` for no limit
    :return: the lines
    """
    from sb3_ext.config.callback_schema import CHECKPOINT_TYPE, CheckpointParams
    from sb3_ext.config.callback_types import (
        CALLBACK_TYPES,
        CALLBACKS,
        GIVEN_BY_RUN,
        SET_ELSEWHERE,
        STOCK_CALLBACKS,
        STOCK_MODULE,
        load_callback_class,
    )

    lines = [*wrap("In train.callbacks, each as {type: …, params: {…}}:", width), ""]
    rows = [
        (name, f"{field.description}; default {_describe_default(field.default)}")
        for name, field in CheckpointParams.model_fields.items()
    ]
    about = "Keeps the best, the latest and periodic checkpoints; always on."
    lines += _format_callback(CHECKPOINT_TYPE, about, rows, width)
    for name in sorted(CALLBACK_TYPES):
        lines += _format_class(name, load_callback_class(name), GIVEN_BY_RUN, width)
    installed = CALLBACKS.list_installed()
    if installed:
        lines += [*wrap("Of other installed packages:", width), ""]
    for name in installed:
        lines += _format_class(name, load_callback_class(name), {}, width)
    others = "Any other subclass of SB3's BaseCallback is 'module:Name'. Those of Stable-Baselines3:"
    lines += [*wrap(others, width), ""]
    for name in (f"{STOCK_MODULE}:{name}" for name in STOCK_CALLBACKS):
        lines += _format_class(name, load_callback_class(name), {}, width)
    lines += [*wrap("Other keys of the configuration switch on the rest of sb3_ext.callbacks:", width), ""]
    return lines + format_definitions(list(SET_ELSEWHERE.items()), width)


def _format_class(name: str, found: type, left_out: Mapping[str, str], width: int | None) -> list[str]:
    return _format_callback(name, _read_summary(found), list(_list_parameters(found, left_out)), width)


def _format_callback(name: str, about: str, parameters: list[tuple[str, str]], width: int | None) -> list[str]:
    return [bold(name), *wrap(about, width), *format_definitions([*parameters], width), ""]


def _list_parameters(found: type, left_out: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    from sb3_ext.arguments import read_parameters

    meanings = dict(_PARAMETER.findall(inspect.getdoc(found) or ""))
    for name, parameter in read_parameters(found).items():
        kind = _describe_type(parameter.annotation)
        if name in left_out or kind is None:
            continue
        is_required = parameter.default is parameter.empty
        default = "required" if is_required else f"default {_describe_default(parameter.default)}"
        meaning = f"; {_clean(meanings[name])}" if name in meanings else ""
        yield name, f"{kind}, {default}{meaning}"


def _describe_type(annotation: Any) -> str | None:
    """:return: the type in the words of a YAML file; ``None`` if no value in YAML has it"""
    from sb3_ext.arguments import describe_annotation, find_range, union_members

    names: list[str] = []
    allowed = find_range(annotation)
    members = union_members(annotation)
    for member in members:
        origin = typing.get_origin(member) or member
        if allowed is not None and origin in (int, float):
            names.append(allowed.words)
        elif origin is Literal:
            names += map(str, typing.get_args(member))
        elif origin is Path or (origin is str and Path in members):
            names.append("a path")
        elif origin in _YAML_TYPES:
            names.append(describe_annotation(member))
    return " or ".join(dict.fromkeys(names)) or None


def _read_summary(found: type) -> str:
    text = inspect.getdoc(found) or ""
    return _clean(text.partition("\n\n")[0])


def _describe_default(value: Any) -> str:
    return "null" if value is None else str(value).lower() if isinstance(value, bool) else str(value)


def _clean(text: str) -> str:
    """Docstrings have markup and lines of their own."""
    return " ".join(_ROLE.sub(lambda match: match[1] or match[2], text).split())
