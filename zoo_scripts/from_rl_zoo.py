"""
Turn the tuned hyperparameters of RL Zoo into configurations, and list what could not be translated.

Reads the files of the installed ``rl_zoo3``, which is not imported, or those of a folder. Writes one file for each
environment, such as ``zoo_configs/ppo/CartPole-v1.yaml``, with what is different as comments; environments that are
not installed are listed, and left out::

    python zoo_scripts/from_rl_zoo.py
    python zoo_scripts/from_rl_zoo.py ppo/CartPole-v1 sac --output my_configs
    python zoo_scripts/from_rl_zoo.py --hyperparams rl-baselines3-zoo/hyperparams --check
    sb3-ext train zoo_configs/ppo/CartPole-v1.yaml
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from sb3_ext.atomic import write_text
from sb3_ext.config import ConfigSource, load_config
from sb3_ext.config.rl_zoo.hyperparameter_files import (
    ALGORITHMS_OF_ZOO,
    ZooEntry,
    find_installed_folder,
    read_file,
)
from sb3_ext.config.rl_zoo.translation import Translation, translate
from sb3_ext.errors import ConfigError

_FOR_MANY = ("atari", "default")
"""Sections for environments that have none of their own; `sb3-ext train --zoo` uses them."""


def list_entries(folder: Path, names: Sequence[str]) -> Iterator[ZooEntry]:
    """
    :param folder: of RL Zoo's files
    :param names: ``ppo/CartPole-v1``, or ``ppo`` for all environments; none for everything
    :return: the hyperparameters of these
    :raises ConfigError: if there are none of a name
    """
    found = set()
    for algorithm in ALGORITHMS_OF_ZOO:
        path = folder / f"{algorithm}.yml"
        if not path.is_file():
            continue
        for entry in read_file(path):
            matching = {algorithm, f"{algorithm}/{entry.env_id}"}.intersection(names)
            found |= matching
            if entry.section not in _FOR_MANY and (matching or not names):
                yield entry
    missing = [name for name in names if name not in found]
    if missing:
        raise ConfigError(f"{folder}: has no hyperparameters for {', '.join(missing)}")


def find_problems(translation: Translation) -> list[str]:
    """
    :param translation: of hyperparameters
    :return: why the configuration cannot be trained here, a line each
    """
    path = translation.entry.path
    try:
        load_config(ConfigSource(path.name, translation.text, lines=translation.lines))
    except ConfigError as error:
        return error.problems
    return []


def main() -> int:
    """Translate, print what could not be translated, and return the exit status."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", metavar="ALGO[/ENV]", help="what to translate; all by default")
    parser.add_argument("--hyperparams", type=Path, metavar="DIR", help="RL Zoo's files; those installed by default")
    parser.add_argument("--output", type=Path, default=Path("zoo_configs"), metavar="DIR")
    parser.add_argument("--check", action="store_true", help="only list, write nothing")
    options = parser.parse_args()
    written = left_out = 0
    try:
        for entry in list_entries(options.hyperparams or find_installed_folder(), options.names):
            translation = translate(entry)
            problems = find_problems(translation)
            target = options.output / entry.algorithm / f"{entry.env_id.replace('/', '-')}.yaml"
            print(f"{entry.algorithm}/{entry.env_id}: {'left out' if problems else target}")
            for note in translation.notes:
                line = "" if note.line is None else f":{note.line}"
                print(f"  {entry.path.name}{line}: {note.key}: {note.message}")
            for problem in problems:
                print(f"  {problem}")
            left_out += bool(problems)
            written += not problems
            if not problems and not options.check:
                target.parent.mkdir(parents=True, exist_ok=True)
                write_text(target, translation.text, durable=False)
    except (ConfigError, OSError) as error:
        print(error, file=sys.stderr)
        return 2
    print(f"{written} translated, {left_out} left out")
    return 0


if __name__ == "__main__":
    sys.exit(main())
