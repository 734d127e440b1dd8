"""
Find the code that a configuration from others names.

A configuration can name any class of an installed package, or of a file in the current directory: as an environment's
module, a wrapper, a policy, a game. Importing and calling it runs code. Names of the packages below are harmless.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from sb3_ext.problems import Key
from sb3_ext.vec.known_environments import list_known_modules

_HARMLESS = (
    "gymnasium.envs",
    "gymnasium.wrappers",
    "pettingzoo",
    "rl_zoo3.wrappers",
    "sb3_contrib",
    "sb3_ext.algorithms",
    "sb3_ext.callbacks",
    "sb3_ext.selfplay",
    "sb3_ext.vec",
    "sb3_ext_envs",
    "stable_baselines3.common",
    "stable_baselines3.her",
    "torch.nn",
    "torch.optim",
    *list_known_modules(),
)

_SECTIONS = ("env", "game", "parallel", "agent", "train", "eval")
"""Sections that matter for playing an agent, and for training it further."""

_NOT_CODE = (("agent", "init_from"),)
_WITH_COLON = re.compile(r"([A-Za-z_][\w.]*):.+")
_DOTTED = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)+")
_KEYS_OF_DOTTED = re.compile(r"wrappers|.*_(class|fn)|policy|id|type|mode|engine")


def find_foreign_code(config: Mapping[str, Any]) -> list[str]:
    """
    :param config: a configuration as plain data
    :return: names in it, such as ``my_module:MyEnv-v0``, whose code is not from a known package
    """
    names = {
        name
        for section in _SECTIONS
        for key, name in _find_names((section,), config.get(section))
        if key not in _NOT_CODE
    } | {str(name) for name in config.get("tracking") or {} if ":" in str(name)}
    return sorted(name for name in names if not _is_harmless(name))


def _find_names(key: Key, value: Any) -> Iterator[tuple[Key, str]]:
    if isinstance(value, Mapping):
        for name, item in value.items():
            yield from _find_names(key, name)
            yield from _find_names((*key, name), item)
    elif isinstance(value, list | tuple):
        for item in value:
            yield from _find_names(key, item)
    elif isinstance(value, str) and _names_code(key, value):
        yield key, value


def _names_code(key: Key, value: str) -> bool:
    if _WITH_COLON.fullmatch(value):
        return True
    return _DOTTED.fullmatch(value) is not None and _KEYS_OF_DOTTED.fullmatch(str(key[-1])) is not None


def _is_harmless(name: str) -> bool:
    match = _WITH_COLON.fullmatch(name)
    module = name.rpartition(".")[0] if match is None else match[1]
    return any(f"{module}.".startswith(f"{known}.") for known in _HARMLESS)
