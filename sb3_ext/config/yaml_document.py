"""
Parse YAML into plain data and line numbers. Safe with malicious input.

Differences from PyYAML's ``safe_load``: numbers and booleans follow YAML 1.2 (``3e-4`` is a number, ``yes`` is text),
duplicate keys are errors, tags and merge keys are not accepted, and size, depth and number of values are bounded
before anything is built from them. No library has all of this: PyYAML's scanner and parser are used, its loaders have
neither line numbers nor limits.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import yaml

from sb3_ext.errors import ConfigError
from sb3_ext.problems import Key, Problem

MAX_BYTES = 256 * 1024
MAX_VALUES = 20_000
MAX_DEPTH = 50


class _Loader(yaml.SafeLoader):
    """SafeLoader with the core schema of YAML 1.2 for plain scalars."""

    yaml_implicit_resolvers: dict[str, list[tuple[str, re.Pattern[str]]]] = {}  # noqa: RUF012 - PyYAML's own form


_NUMBER_START = list("-+.0123456789")
_FLOAT = r"[-+]?(\.[0-9]+|[0-9][0-9_]*(\.[0-9_]*)?)([eE][-+]?[0-9]+)?|[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)"
for _tag, _pattern, _first in (
    ("null", r"~|null|Null|NULL|", ["~", "n", "N", ""]),
    ("bool", r"true|True|TRUE|false|False|FALSE", list("tTfF")),
    ("int", r"[-+]?[0-9][0-9_]*|0x[0-9a-fA-F]+", _NUMBER_START),
    ("float", _FLOAT, _NUMBER_START),
):
    _Loader.add_implicit_resolver(f"tag:yaml.org,2002:{_tag}", re.compile(rf"(?:{_pattern})\Z"), _first)


@dataclass(frozen=True)
class Document:
    """
    A parsed file.

    :param value: plain data: dict with text keys, list, str, int, float, bool, None
    :param lines: the line, counted from 1, of every key and list item
    :param problems: duplicate keys and tags; the rest of the file is still read
    """

    value: Any
    lines: dict[Key, int] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)


def parse_document(
    content: str | bytes, name: str, builder_class: type[DocumentBuilder] | None = None, *, has_lines: bool = True
) -> Document:
    """
    :param content: YAML
    :param name: of the file, for messages
    :param builder_class: for files of another program, which are written in another YAML; ``None`` for ours
    :param has_lines: whether messages name the line
    :return: its value and line numbers
    :raises ConfigError: if it is too large, not text, not YAML, or not plain data
    """
    text = _decode(content, name)
    builder = (builder_class or DocumentBuilder)(name)
    try:
        node = yaml.compose(text, Loader=builder.loader_class)
        return Document(None) if node is None else builder.build(node)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        place = f"{name}:{mark.line + 1}" if mark and has_lines else name
        raise ConfigError(f"{place}: not valid YAML: {error.problem or error.context}") from None
    except yaml.YAMLError as error:
        raise ConfigError(f"{name}: not valid YAML: {' '.join(str(error).split())}") from None
    except RecursionError:
        raise ConfigError(f"{name}: nested too deeply; expected at most {MAX_DEPTH} levels") from None


def _decode(content: str | bytes, name: str) -> str:
    if len(content) > MAX_BYTES:
        raise ConfigError(f"{name}: too large for a configuration; expected at most {MAX_BYTES:,} bytes")
    if isinstance(content, str):
        return content
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise ConfigError(f"{name}: not a text file (byte {error.start} is not UTF-8); expected YAML") from None


class DocumentBuilder:
    """
    Build plain data from PyYAML's nodes. An alias visits its node again, so each visit counts as a value.

    :param name: of the file, for messages
    """

    loader_class: type[yaml.SafeLoader] = _Loader
    """What composes the nodes; nothing is constructed with it."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._lines: dict[Key, int] = {}
        self._problems: list[Problem] = []
        self._values_seen = 0

    def build(self, root: yaml.Node) -> Document:
        """
        :param root: of the file
        :return: its value and line numbers
        :raises ConfigError: if it is not plain data, or too large
        """
        return Document(self._build(root, ()), self._lines, self._problems)

    def _build(self, node: yaml.Node, key: Key) -> Any:
        self._values_seen += 1
        if self._values_seen > MAX_VALUES:
            raise self._error(node, f"more than {MAX_VALUES:,} values, aliases included; too many for a configuration")
        if len(key) > MAX_DEPTH:
            raise self._error(node, f"nested too deeply; expected at most {MAX_DEPTH} levels")
        if isinstance(node, yaml.MappingNode):
            self._check_tag(node, "map", key)
            return dict(self._build_items(node, key))
        if isinstance(node, yaml.SequenceNode):
            self._check_tag(node, "seq", key)
            return [self._build_item(item, (*key, index)) for index, item in enumerate(node.value)]
        return self._build_scalar(node, key)

    def _build_items(self, node: yaml.MappingNode, key: Key) -> Iterator[tuple[str, Any]]:
        seen: set[str] = set()
        for key_node, value_node in self._list_pairs(node):
            name = key_node.value
            if not isinstance(key_node, yaml.ScalarNode) or not isinstance(name, str):
                raise self._error(key_node, "expected text as a key, found a list or mapping")
            if name in seen:
                first = self._lines[(*key, name)]
                self._problems.append(Problem((*key, name), f"duplicate key, first given in line {first}"))
            seen.add(name)
            self._lines[(*key, name)] = key_node.start_mark.line + 1
            yield name, self._build(value_node, (*key, name))

    def _list_pairs(self, node: yaml.MappingNode) -> list[tuple[yaml.Node, yaml.Node]]:
        """:return: keys and values of a mapping"""
        return list(node.value)

    def _build_item(self, node: yaml.Node, key: Key) -> Any:
        self._lines[key] = node.start_mark.line + 1
        return self._build(node, key)

    def _build_scalar(self, node: yaml.Node, key: Key) -> Any:
        kind = node.tag.removeprefix("tag:yaml.org,2002:")
        text = node.value
        try:
            if kind == "null":
                return None
            if kind == "bool":
                return text.lower() == "true"
            if kind == "int":
                return int(text, 16) if text.startswith("0x") else int(text)
            if kind == "float":
                return float(re.sub(r"\.(?=inf|nan)", "", text.lower()))
        except ValueError:
            raise self._error(node, f"cannot read this as a number: '{text[:40]}'") from None
        self._check_tag(node, "str", key)
        return text

    def _check_tag(self, node: yaml.Node, expected: str, key: Key) -> None:
        if node.tag != f"tag:yaml.org,2002:{expected}":
            self._problems.append(Problem(key, f"tag '{node.tag}' is not accepted; write a plain value"))

    def _error(self, node: yaml.Node, message: str) -> ConfigError:
        return ConfigError(f"{self._name}:{node.start_mark.line + 1}: {message}")
