"""Load the configuration of an existing run, which may be from others."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from sb3_ext.config import Override, RunConfig, load_config
from sb3_ext.config.foreign_code import find_foreign_code
from sb3_ext.config.yaml_document import parse_document
from sb3_ext.errors import CheckpointError
from sb3_ext.runs.paths import FETCHED_MARK, RunPaths


def load_run_config(paths: RunPaths, overrides: Iterable[str | Override] = (), *, trust: bool = False) -> RunConfig:
    """
    Load the resolved configuration of a run. If the run was fetched from the Hugging Face Hub, first check which code
    it names, since loading imports that code.

    :param paths: of the run
    :param overrides: see :func:`~sb3_ext.config.load_config`
    :param trust: import any code
    :return: the configuration
    :raises CheckpointError: if it names code that is not from a known package, without ``trust``
    :raises ConfigError: if it is invalid
    """
    path = paths.resolved_config
    if not trust and (paths.root / FETCHED_MARK).exists():
        content = parse_document(path.read_bytes(), str(path)).value
        validate_known_code(str(path), content if isinstance(content, dict) else {})
    return load_config(path, overrides)


def validate_known_code(path: str, config: Mapping[str, Any]) -> None:
    """
    :param path: of the configuration, for messages
    :param config: a configuration from others, as plain data
    :raises CheckpointError: if it names code that is not from a known package
    """
    names = find_foreign_code(config)
    if names:
        raise CheckpointError(
            f"{path}: names code, which would run: {', '.join(names)}; add --trust (trust=True) if you trust its source"
        )
