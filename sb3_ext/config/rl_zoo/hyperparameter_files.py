"""
Find the hyperparameter files of RL Zoo, and the hyperparameters of an environment in them.

``NAME`` in ``zoo:NAME`` is ``ppo/CartPole-v1`` for the files of the installed package, and
``my/folder/ppo/CartPole-v1`` for those of a folder.
"""

from __future__ import annotations

import importlib.util
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from sb3_ext.config.rl_zoo.zoo_yaml import ZooDocumentBuilder
from sb3_ext.config.yaml_document import MAX_BYTES, Document, parse_document
from sb3_ext.errors import ConfigError
from sb3_ext.problems import Key, Problem, suggest_name

ZOO_PREFIX = "zoo:"
"""Begins the name of a configuration that is RL Zoo's."""

ALGORITHMS_OF_ZOO = {
    **{name: name for name in ("a2c", "ars", "crossq", "ddpg", "dqn", "ppo", "qrdqn", "sac", "td3", "tqc", "trpo")},
    "ppo_lstm": "recurrent_ppo",
}
"""RL Zoo's name of an algorithm -> the name in a configuration."""

_ATARI, _DEFAULT = "atari", "default"
_ATARI_IDS = re.compile(r"ALE/.*|.*NoFrameskip-v\d+")
_PACKAGE = "rl_zoo3"
_FOLDER = "hyperparams"
_NAME = re.compile(rf"(?:(?P<folder>.+?)/)?(?P<algorithm>{'|'.join(ALGORITHMS_OF_ZOO)})/(?P<env>.+)")


@dataclass(frozen=True)
class ZooEntry:
    """
    The hyperparameters that RL Zoo has for an environment.

    :param algorithm: RL Zoo's name of it
    :param env_id: the environment, without a module
    :param values: hyperparameters
    :param lines: of each value in the file; of the whole entry, with the key ``()``
    :param path: the file
    :param section: the key in the file: the environment's id, ``atari`` or ``default``; ``None`` for the file of an
        agent, which has only one
    :param problems: values that cannot be read, keyed from the hyperparameter inwards
    :param module: that registers the environment when it is imported; ``None`` if none is named
    """

    algorithm: str
    env_id: str
    values: Mapping[str, Any]
    lines: Mapping[Key, int]
    path: Path
    section: str | None = None
    problems: tuple[Problem, ...] = ()
    module: str | None = None

    def find_line(self, key: Key) -> int | None:
        """
        :param key: from a hyperparameter inwards
        :return: its line in the file, or that of what it is in
        """
        return next((self.lines[key[:size]] for size in range(len(key), -1, -1) if key[:size] in self.lines), None)


def find_entry(name: str) -> ZooEntry:
    """
    :param name: ``[FOLDER/]ALGORITHM/ENVIRONMENT``
    :return: the hyperparameters; like RL Zoo, those of ``atari`` or ``default`` if there are none for the environment
    :raises ConfigError: if RL Zoo is not installed, or there are no such hyperparameters
    """
    match = _NAME.fullmatch(name)
    if match is None:
        raise ConfigError(
            f"{ZOO_PREFIX}{name}: expected ALGORITHM/ENVIRONMENT, such as ppo/CartPole-v1; "
            f"RL Zoo's algorithms are {', '.join(ALGORITHMS_OF_ZOO)}"
        )
    folder = Path(match["folder"]) if match["folder"] else find_installed_folder()
    path = folder / f"{match['algorithm']}.yml"
    sections = {entry.section: entry for entry in read_file(path)}
    module, _, env_id = match["env"].rpartition(":")
    fallback = _ATARI if _ATARI_IDS.fullmatch(env_id) else _DEFAULT
    for section in (env_id, fallback):
        if section in sections:
            return replace(sections[section], env_id=env_id, module=module or None)
    raise ConfigError(f"{path}: has no hyperparameters for {env_id}; {suggest_name(env_id, map(str, sections))}")


def find_installed_folder() -> Path:
    """
    :return: the hyperparameter files of the installed RL Zoo, which is not imported
    :raises ConfigError: if it is not installed
    """
    spec = importlib.util.find_spec(_PACKAGE)
    for place in (spec.submodule_search_locations or ()) if spec is not None else ():
        for folder in (Path(place) / _FOLDER, Path(place).parent / _FOLDER):  # a wheel, a clone
            if (folder / "ppo.yml").is_file():
                return folder
    raise ConfigError(
        f"the hyperparameters of RL Zoo need {_PACKAGE}: pip install {_PACKAGE}; or name a folder with its files: "
        f"{ZOO_PREFIX}FOLDER/ppo/CartPole-v1"
    )


def read_file(path: Path) -> Iterator[ZooEntry]:
    """
    :param path: a file such as ``ppo.yml``
    :return: one entry for each key in it; ``env_id`` and ``section`` are the key
    :raises ConfigError: if it cannot be read
    """
    document = read_zoo_document(path)
    for section, values in document.value.items():
        if not isinstance(values, dict):
            raise ConfigError(f"{path}:{document.lines[(section,)]}: {section}: expected a mapping of hyperparameters")
        lines = {key[1:]: line for key, line in document.lines.items() if key[0] == section}
        problems = tuple(Problem(key[1:], text) for key, text in document.problems if key[0] == section)
        yield ZooEntry(path.stem, section, values, lines, path, section, problems)


def read_zoo_document(path: Path) -> Document:
    """
    :param path: a file of RL Zoo
    :return: its content, a mapping
    :raises ConfigError: if it cannot be read, or is not a mapping
    """
    try:
        with path.open("rb") as file:
            content = file.read(MAX_BYTES + 1)
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read: {error.strerror}") from None
    document = parse_document(content, str(path), ZooDocumentBuilder)
    if not isinstance(document.value, dict):
        raise ConfigError(f"{path}: expected a mapping, as RL Zoo writes it")
    return document
