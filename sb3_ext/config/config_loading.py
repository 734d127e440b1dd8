"""Load a configuration from a source and overrides, or report all its mistakes at once."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError

from sb3_ext.config.checks import find_problems
from sb3_ext.config.evaluation_list import move_key, spread_evaluations
from sb3_ext.config.evaluation_schema import FINAL, EvalEnvConfig
from sb3_ext.config.overriding import apply_override
from sb3_ext.config.parallel_schema import ParallelConfig
from sb3_ext.config.schema import MOCK_ID, RunConfig
from sb3_ext.config.source import COMMAND_LINE, ConfigSource, Override, parse_override, read_source
from sb3_ext.config.space_checks import find_space_problems
from sb3_ext.config.validation import translate_errors
from sb3_ext.config.yaml_document import parse_document
from sb3_ext.errors import ConfigError
from sb3_ext.problems import Key, Problem, expected
from sb3_ext.vec.backends.parallel_modes import SEQUENTIAL, make_backend

_LIKE, _LIKE_PARAMS = "like", "like_params"
"""Parameters of the mock environment."""

_FLAGS: dict[Key, str] = {("agent",): "--algo", ("agent", "id"): "--algo", ("env",): "--env", ("env", "id"): "--env"}
"""Flags for required keys."""


def load_config(
    config: str | Path | Mapping[str, Any] | ConfigSource | None, overrides: Iterable[str | Override] = ()
) -> RunConfig:
    """
    Read, override and validate a configuration.

    :param config: a file's path, the name of a shipped configuration, plain data, or ``None`` for overrides alone
    :param overrides: ``KEY=VALUE`` texts or :class:`Override` objects; later ones win
    :return: the configuration
    :raises ConfigError: with a line for each mistake: place, key, what was found, what was expected
    """
    source = config if isinstance(config, ConfigSource) else read_source(config)
    data, places, problems = _merge(source, overrides)
    loaded = None
    found: list[Problem] = []
    try:
        loaded = RunConfig.model_validate(data)
    except ValidationError as error:
        found = list(translate_errors(error))
    reported = {problem.key for problem in found if not isinstance(_find_value(data, problem.key), Mapping | list)}
    others = [*find_problems(data), *find_space_problems(data)]
    problems.extend([*found, *(problem for problem in others if not _is_reported(problem.key, reported))])
    if problems or loaded is None:
        raise ConfigError(_describe(problems, places, source.place))
    return loaded


def locate_problems(error: ConfigError, source: ConfigSource, overrides: Iterable[Override]) -> ConfigError:
    """
    :param error: raised while something was made from the configuration; each line begins with a key
    :param source: where the configuration comes from
    :param overrides: of values in it
    :return: the same error with the place of each key, as in the errors of :func:`load_config`
    """
    _, places, _ = _merge(source, overrides)
    problems = []
    for line in error.problems:
        name, _, message = line.partition(": ")
        key: Key = tuple(int(part) if part.isdigit() else part for part in name.split("."))
        problems.append(Problem(key, message))
    return ConfigError(_describe(problems, places, source.place))


def dump_config(config: RunConfig) -> str:
    """
    :param config: a configuration
    :return: YAML with every key, in the schema's order; it loads to an equal configuration
    """
    return yaml.safe_dump(config.model_dump(mode="json", by_alias=True), sort_keys=False, allow_unicode=True)


def mock_environment(config: RunConfig) -> RunConfig:
    """
    :param config: a configuration
    :return: the same with an environment that returns noise from the same spaces, to check a set-up in seconds
    :raises ConfigError: if this is a game
    """
    section = config.require_env("a mock environment")
    params = {_LIKE: section.id, _LIKE_PARAMS: section.params}
    env = section.model_copy(update={"id": MOCK_ID, "params": params})
    plain = {"env": EvalEnvConfig(), "stage": FINAL}
    train = config.train.model_copy(update={"curriculum": []})  # it has nothing to change
    others = [other.model_copy(update=plain) for other in config.eval.also]
    judged = config.eval.model_copy(update={**plain, "also": others})
    parallel = config.parallel
    backend = make_backend(parallel.mode, parallel.num_envs, parallel.settings)
    if any(backend.find_problems(env.model_dump())):
        parallel = ParallelConfig(mode=SEQUENTIAL, num_envs=parallel.num_envs)
    return config.model_copy(update={"env": env, "eval": judged, "parallel": parallel, "train": train})


def restore_environment(config: RunConfig) -> RunConfig:
    """
    Undo :func:`mock_environment`, except for the settings that it drops.

    :param config: a configuration with a mock environment
    :return: the same with the original environment
    """
    section = config.require_env("a mock environment")
    if _LIKE not in section.params:  # the user's own, not made by mock_environment
        return config
    update = {"id": section.params[_LIKE], "params": section.params.get(_LIKE_PARAMS, {})}
    return config.model_copy(update={"env": section.model_copy(update=update)})


def _merge(
    source: ConfigSource, overrides: Iterable[str | Override]
) -> tuple[dict[str, Any], dict[Key, str], list[Problem]]:
    """:return: the data with the overrides, the place of each key, and the mistakes found"""
    document = parse_document(source.content, source.place)
    problems = list(document.problems)
    data = {} if document.value is None else document.value
    if not isinstance(data, dict):
        raise ConfigError(f"{source.place}: {expected('a mapping with the keys env and agent', data)}")
    lines = source.lines or document.lines
    places = {move_key(key, data): f"{source.place}:{line}" for key, line in lines.items()}
    spread_evaluations(data)
    for override in (parse_override(item) if isinstance(item, str) else item for item in overrides):
        key, problem = apply_override(data, override)
        for size in range(1, len(key)):
            places.setdefault(key[:size], override.place)
        places[key] = override.place
        problems.extend([problem] if problem else [])
    return data, places, problems


def _is_reported(key: Key, reported: Collection[Key]) -> bool:
    """Whether the type of the value, or of one above it, is reported already; other mistakes in it follow from that."""
    return any(key[:size] in reported for size in range(1, len(key) + 1))


def _find_value(data: Any, key: Key) -> Any:
    for part in key:
        try:
            data = data[part]
        except (KeyError, IndexError, TypeError):  # required, but missing
            return None
    return data


def _describe(problems: Sequence[Problem], places: Mapping[Key, str], source: str) -> list[str]:
    """One line for each problem, in the order of the file."""
    described = []
    for problem in dict.fromkeys(problems):
        prefixes = (problem.key[:size] for size in range(len(problem.key), 0, -1))
        place = next((places[prefix] for prefix in prefixes if prefix in places), source)
        message = problem.message
        if source == COMMAND_LINE and message.startswith("required, but missing") and problem.key in _FLAGS:
            message += f"; give {_FLAGS[problem.key]}"
        parts = [place, ".".join(map(str, problem.key)), message]
        described.append((_order(place), ": ".join(part for part in parts if part)))
    return [_escape(line) for _, line in sorted(described, key=lambda item: item[0])]


def _escape(line: str) -> str:
    """Keys and values of a file may hold line breaks and control characters, which would break the line."""
    return "".join(letter if letter.isprintable() else letter.encode("unicode_escape").decode() for letter in line)


def _order(place: str) -> int:
    line = place.rpartition(":")[2]
    return int(line) if line.isdigit() else 0
