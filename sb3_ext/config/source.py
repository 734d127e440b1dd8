"""Read the source of a configuration: a file, a shipped configuration, a mapping, or overrides alone."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from sb3_ext.config.rl_zoo.hyperparameter_files import ZOO_PREFIX, find_entry
from sb3_ext.config.rl_zoo.translation import translate
from sb3_ext.config.shipped import find_shipped_configs
from sb3_ext.config.yaml_document import MAX_BYTES, parse_document
from sb3_ext.errors import ConfigError
from sb3_ext.problems import Key, suggest_name

logger = logging.getLogger(__name__)


COMMAND_LINE = "command line"
"""The place of a configuration without a file."""


@dataclass(frozen=True)
class ConfigSource:
    """
    The YAML text of a configuration, and where it is from.

    :param place: its name in messages
    :param content: YAML
    :param path: the file; ``None`` if it is not from a file
    :param lines: of keys in the file ``place``, if the YAML text was made from another file
    """

    place: str
    content: str | bytes
    path: Path | None = None
    lines: Mapping[Key, int] | None = None

    @property
    def text(self) -> str:
        """The content as text; :mod:`sb3_ext.config.yaml_document` refuses bytes that are not UTF-8."""
        return self.content if isinstance(self.content, str) else self.content.decode("utf-8-sig")


@dataclass(frozen=True)
class Override:
    """
    One value that replaces the file's.

    :param key: from the outermost key inwards; integers index lists; a callback can also be named by its type
    :param value: plain data
    :param place: the name of its origin in messages, such as ``--seed``
    :param keeps: tells from the configuration's value whether to leave it; ``None`` leaves none
    """

    key: Key
    value: Any
    place: str
    keeps: Callable[[Any], bool] | None = None


def read_source(config: str | Path | Mapping[str, Any] | None) -> ConfigSource:
    """
    :param config: a file's path, the name of a shipped configuration, ``zoo:ppo/CartPole-v1`` for the hyperparameters
        of RL Zoo, plain data, or ``None`` for an empty one
    :return: its YAML text
    :raises ConfigError: if there is no such file, or the data cannot be written as YAML
    """
    if config is None:
        return ConfigSource(COMMAND_LINE, "{}\n")
    if isinstance(config, Mapping):
        try:
            return ConfigSource("config", yaml.safe_dump(dict(config), sort_keys=False))
        except yaml.representer.RepresenterError as error:
            raise ConfigError(f"config: not plain data: {error.args[-1]!r}; write classes as 'module:Name'") from None
    if str(config).startswith(ZOO_PREFIX):
        return _read_zoo_source(str(config).removeprefix(ZOO_PREFIX))
    path = Path(config)
    if not path.exists() and path.name == str(config):
        shipped = find_shipped_configs()
        if path.stem in shipped and path.suffix in ("", ".yaml"):
            path = shipped[path.stem]
        elif not path.suffix:
            raise ConfigError(f"{config}: no such file or shipped configuration; {suggest_name(path.stem, shipped)}")
    try:
        with path.open("rb") as file:
            return ConfigSource(str(config), file.read(MAX_BYTES + 1), path)
    except OSError as error:
        raise ConfigError(f"{config}: cannot be read: {error.strerror}") from None


def validate_file(config: str | Path | Mapping[str, Any] | None) -> None:
    """
    Check the file of a configuration before anything heavy is imported. Nothing else is checked.

    :param config: as for :func:`read_source`; only files are read
    :raises ConfigError: if there is no such file, or it is not YAML
    """
    if config is None or isinstance(config, Mapping) or str(config).startswith(ZOO_PREFIX):
        return
    source = read_source(config)
    parse_document(source.content, source.place)


def _read_zoo_source(name: str) -> ConfigSource:
    translation = translate(find_entry(name))
    path = translation.entry.path
    for note in translation.notes:
        logger.warning("%s%s: %s: %s", path, "" if note.line is None else f":{note.line}", note.key, note.message)
    return ConfigSource(str(path), translation.text, lines=translation.lines)


def parse_override(assignment: str, place: str = "--set") -> Override:
    """
    :param assignment: ``KEY=VALUE``, dots between the parts of the key, YAML for the value
    :param place: the name of its origin in messages
    :return: the override
    :raises ConfigError: if it has no ``=``, no key, or a value that is not YAML
    """
    name, separator, text = assignment.partition("=")
    parts = name.strip().split(".")
    if not separator or not all(parts):
        raise ConfigError(f"{place} {assignment}: expected KEY=VALUE, such as agent.params.gamma=0.98")
    document = parse_document(text, f"{place} {assignment!r}", has_lines=False)
    if document.problems:
        raise ConfigError([f"{place} {assignment}: {problem.message}" for problem in document.problems])
    return Override(tuple(int(part) if part.isdigit() else part for part in parts), document.value, place)
