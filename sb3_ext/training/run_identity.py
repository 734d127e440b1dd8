"""Check that a resume keeps a run's algorithm and its environment or game."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from sb3_ext.config import Override, RunConfig
from sb3_ext.errors import ConfigError
from sb3_ext.problems import Key, describe_value
from sb3_ext.runs.run import Run

_IDENTITY: tuple[tuple[Key, str], ...] = (
    (("agent", "id"), "algorithm"),
    (("env", "id"), "environment"),
    (("game", "id"), "game"),
)


def check_identity(run: Run, config: RunConfig, overrides: Iterable[Override]) -> None:
    """
    Refuse to resume with another algorithm, environment or game.

    :param run: the run to resume
    :param config: the run's configuration
    :param overrides: overrides of the resume
    :raises ConfigError: with one line for each of the three that would change
    """
    problems = list(_find_changes(run, config, list(overrides)))
    if problems:
        raise ConfigError(problems)


def _find_changes(run: Run, config: RunConfig, overrides: list[Override]) -> Iterator[str]:
    sections = config.model_dump(include={"agent", "env", "game"})
    for key, name in _IDENTITY:
        given = [(found, item.place) for item in overrides for found in _find_given(item, key)]
        own = _find_value(sections, key)
        if given and given[-1][0] != own:
            value, place = given[-1]
            owned = f"is a run of the game {config.task_id}" if own is None else f"has {own}"
            yield (
                f"{place}: {'.'.join(map(str, key))}: the {name} of a run cannot be changed: {run.paths.root} {owned}, "
                f"found {describe_value(value)}; leave it out to resume the run, or begin another with --run-dir"
            )


def _find_given(override: Override, key: Key) -> list[Any]:
    """:return: the value that an override sets for a key, directly or inside a mapping; empty if it does not"""
    if override.key == key:
        return [override.value]
    value = override.value
    if override.key == key[:-1] and isinstance(value, Mapping) and key[-1] in value:
        return [value[key[-1]]]
    return []


def _find_value(sections: Mapping[str, Any], key: Key) -> Any:
    section = sections[str(key[0])]
    return None if section is None else section[key[1]]
