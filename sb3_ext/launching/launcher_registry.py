"""Registry of launchers by their names on the command line."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import yaml

from sb3_ext.arguments import find_argument_problems, read_parameters, union_members
from sb3_ext.errors import LaunchError
from sb3_ext.extensions import Registry
from sb3_ext.launching.launcher import Launcher

LOCAL = "local"

LAUNCHERS = Registry(
    "launcher",
    {
        LOCAL: "sb3_ext.launching.local_launcher:LocalLauncher",
        "ray": "sb3_ext.launching.ray_launcher:RayLauncher",
        "slurm": "sb3_ext.launching.slurm_launcher:SlurmLauncher",
    },
    "sb3_ext.launchers",
)
"""Every launcher that the command line can name."""

_OWNED = {"directory": "the command sets it", "jobs": "give --jobs"}


def load_launcher_class(name: str) -> type[Launcher]:
    """
    :param name: a name in :data:`LAUNCHERS`, or ``module:Name``
    :return: the class
    :raises LaunchError: if there is no such class
    """
    try:
        found: type[Launcher] = LAUNCHERS.load_subclass(name, Launcher)
    except LookupError as error:
        raise LaunchError(f"--launcher: {error}") from error
    return found


def parse_launcher_options(launcher: type[Launcher], texts: Sequence[str]) -> dict[str, Any]:
    """
    Parse ``KEY=VALUE`` texts.

    :param launcher: the class
    :param texts: values are YAML, or plain text where the launcher expects text
    :return: keyword arguments for the constructor, unchecked
    :raises LaunchError: if a text is not ``KEY=VALUE``
    """
    parameters, options = read_parameters(launcher), {}
    for text in texts:
        name, separator, value = text.partition("=")
        if not separator or not name:
            raise LaunchError(f"--launcher-option: expected KEY=VALUE, found '{text}'")
        is_text = name in parameters and str in union_members(parameters[name].annotation)
        try:
            options[name] = value if is_text else yaml.safe_load(value)
        except yaml.YAMLError as error:
            raise LaunchError(f"--launcher-option {name}: is not YAML: {value}") from error
    return options


@contextmanager
def opening_launcher(
    launcher: type[Launcher], options: Mapping[str, Any], directory: Path, jobs: int
) -> Iterator[Launcher]:
    """
    Make a launcher, and close it at the end of the block.

    :param launcher: the class
    :param options: keyword arguments for the constructor, which are checked against its signature
    :param directory: directory of the command; nothing is created in it yet
    :param jobs: most processes at a time
    :raises LaunchError: if there is no such option, its value is wrong, or the launcher cannot be used here
    """
    for problem in find_argument_problems(launcher, options, owned=_OWNED):
        key = ".".join(map(str, problem.key))
        raise LaunchError(f"--launcher-option {key}: {problem.message}")
    with closing(launcher(directory, jobs, **options)) as made:
        yield made
