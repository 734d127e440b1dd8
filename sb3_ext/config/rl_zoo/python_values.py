"""Read values that RL Zoo writes as Python, such as ``"dict(net_arch=[64, 64])"``, without running them."""

from __future__ import annotations

import ast
from typing import Any

_MODULES = {"gym": "gymnasium", "nn": "torch.nn", "np": "numpy", "sb3": "stable_baselines3", "th": "torch"}
"""Short names under which RL Zoo imports modules."""

_NAMED_WITHOUT_MODULE = ("torch.nn", "torch.optim")
"""Modules whose classes a configuration names without their module."""


def parse_python(text: str) -> Any:
    """
    Read literals, ``dict(…)`` and the names of classes.

    :param text: a Python expression
    :return: plain data; a class is its name, as a configuration has it: ``ReLU`` or ``module:Name``
    :raises ValueError: if it contains anything else, such as a call of another function
    """
    try:
        return _read(ast.parse(" ".join(text.split()), mode="eval").body)
    except (SyntaxError, RecursionError, MemoryError):
        raise ValueError(f"not a Python expression: {text[:60]!r}") from None


def name_class(dotted: str) -> str:
    """
    :param dotted: a class as Python has it, such as ``torch.nn.modules.activation.ReLU`` or ``th.nn.ReLU``
    :return: its name in a configuration: ``ReLU``, or ``module:Name``
    """
    module, _, name = dotted.rpartition(".")
    first, dot, rest = module.partition(".")
    module = f"{_MODULES.get(first, first)}{dot}{rest}"
    if not module or any(f"{module}.".startswith(f"{known}.") for known in _NAMED_WITHOUT_MODULE):
        return name
    return f"{module}:{name}"


def _read(node: ast.expr) -> Any:
    match node:
        case ast.Constant(value=None | bool() | int() | float() | str()):
            return node.value
        case ast.List() | ast.Tuple():
            return [_read(item) for item in node.elts]
        case ast.Dict():
            return {_read_key(key): _read(value) for key, value in zip(node.keys, node.values, strict=True)}
        case ast.Call(func=ast.Name(id="dict"), args=[]):
            return {_check_name(keyword.arg): _read(keyword.value) for keyword in node.keywords}
        case ast.UnaryOp(op=ast.USub(), operand=ast.Constant(value=int() | float() as number)):
            return -number
        case ast.Name() | ast.Attribute():
            return name_class(_read_dotted(node))
    raise ValueError(f"not a plain value or the name of a class: {ast.unparse(node)[:60]!r}")


def _read_key(node: ast.expr | None) -> str:
    key = None if node is None else _read(node)
    return _check_name(key)


def _check_name(name: Any) -> str:
    if not isinstance(name, str):
        raise ValueError("not a plain dict: expected text as its keys")
    return name


def _read_dotted(node: ast.expr) -> str:
    if isinstance(node, ast.Name):
        return node.id
    if isinstance(node, ast.Attribute):
        return f"{_read_dotted(node.value)}.{node.attr}"
    raise ValueError(f"not the name of a class: {ast.unparse(node)[:60]!r}")
