"""
Parse the YAML that RL Zoo writes and reads: YAML 1.1 with merge keys, and in the files of an agent with Python's types.

Nothing is constructed from Python's tags: an ``OrderedDict`` and a tuple become plain data, a class becomes its name.
"""

from __future__ import annotations

from typing import Any

import yaml

from sb3_ext.config.rl_zoo.python_values import name_class
from sb3_ext.config.yaml_document import DocumentBuilder
from sb3_ext.problems import Key, Problem

_PYTHON = "tag:yaml.org,2002:python/"
_ORDERED_DICT = f"{_PYTHON}object/apply:collections.OrderedDict"
_NAME = f"{_PYTHON}name:"
_TUPLE = f"{_PYTHON}tuple"
_TEXT_CLASSES = ("EnvironmentName", "ModelName")
"""Subclasses of ``str`` of huggingface_sb3."""


class ZooDocumentBuilder(DocumentBuilder):
    """
    Build plain data from a file of RL Zoo.

    :param name: of the file, for messages
    """

    loader_class = yaml.SafeLoader

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self._constructor = yaml.SafeLoader("")

    def _build(self, node: yaml.Node, key: Key) -> Any:
        tag = node.tag
        if tag == _TUPLE:
            node.tag = "tag:yaml.org,2002:seq"
        elif tag == _ORDERED_DICT and isinstance(node, yaml.SequenceNode):
            node = _make_mapping(node)
        elif tag.startswith(f"{_PYTHON}object") and tag.rpartition(".")[2] in _TEXT_CLASSES:
            node = _find_text(node)
        return super()._build(node, key)

    def _list_pairs(self, node: yaml.MappingNode) -> list[tuple[yaml.Node, yaml.Node]]:
        """Apply merge keys; of several values of a key, the last one counts, as in PyYAML."""
        self._constructor.flatten_mapping(node)
        pairs = {getattr(key_node, "value", None): (key_node, value_node) for key_node, value_node in node.value}
        return list(pairs.values())

    def _build_scalar(self, node: yaml.Node, key: Key) -> Any:
        if node.tag.startswith(_NAME):
            return name_class(node.tag.removeprefix(_NAME))
        try:
            value = self._constructor.construct_object(node)
        except yaml.constructor.ConstructorError:
            tag = node.tag.rpartition("/")[2]
            self._problems.append(Problem(key, f"a value of Python's type '{tag}', which is not read"))
            return None
        except ValueError:
            raise self._error(node, f"cannot read this value: '{str(node.value)[:40]}'") from None
        return value if isinstance(value, bool | int | float | str | type(None)) else str(value)

    def _check_tag(self, node: yaml.Node, expected: str, key: Key) -> None:
        if node.tag != f"tag:yaml.org,2002:{expected}":
            tag = node.tag.rpartition("/")[2]
            self._problems.append(Problem(key, f"a value of Python's type '{tag}', which is not read"))


def _make_mapping(node: yaml.SequenceNode) -> yaml.Node:
    """From the arguments of ``OrderedDict``, a list of pairs, to a mapping."""
    [pairs] = node.value if len(node.value) == 1 else [None]
    if not isinstance(pairs, yaml.SequenceNode):
        return node
    items = [item.value for item in pairs.value]
    if not all(isinstance(item, list) and len(item) == 2 for item in items):
        return node
    return yaml.MappingNode("tag:yaml.org,2002:map", [tuple(item) for item in items], node.start_mark, node.end_mark)


def _find_text(node: yaml.Node) -> yaml.Node:
    """:return: the first argument of a constructor, if it is text"""
    value: Any = node.value
    if isinstance(node, yaml.MappingNode):
        value = next((item.value for name, item in node.value if name.value == "args"), None)
    first = value[0] if isinstance(value, list) and value else None
    return first if isinstance(first, yaml.ScalarNode) else node
