"""Validate a configuration and claim a new run directory."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from stable_baselines3.common.utils import get_device

from sb3_ext.building.fit import validate_setup
from sb3_ext.building.memory import validate_memory
from sb3_ext.checkpoints.bundle.bundle import Bundle
from sb3_ext.config import (
    ConfigSource,
    Override,
    RunConfig,
    dump_config,
    load_config,
    mock_environment,
    parse_override,
    read_source,
)
from sb3_ext.errors import RunError
from sb3_ext.ranks.rank_group import RankGroup
from sb3_ext.runs.environment import describe_environment
from sb3_ext.runs.paths import RUN_LINK, RunPaths
from sb3_ext.runs.run import Run
from sb3_ext.runs.run_registry import RUNS
from sb3_ext.runs.session import RunSession


@dataclass(frozen=True)
class RunStart:
    """
    A claimed run directory and what to train in it.

    :param config: the validated configuration
    :param session: entered once, by :func:`~sb3_ext.training.loop.train_run`
    :param bundle: the verified checkpoint to resume from; ``None`` for a new run
    :param group: the ranks that train the model, of which this process is rank 0; ``None`` for this process alone
    """

    config: RunConfig
    session: RunSession
    bundle: Bundle | None = None
    group: RankGroup | None = None

    @property
    def run(self) -> Run:
        """The run, read-only."""
        return Run(self.session.paths.root)


def start_run(
    config: str | Path | Mapping[str, Any] | ConfigSource | None,
    run_dir: str | Path | None = None,
    overrides: Iterable[str | Override] = (),
    *,
    checkpoint_dir: Path | None = None,
    mock: bool = False,
    command: str | None = None,
    study: Mapping[str, Any] | None = None,
) -> RunStart:
    """
    Validate a configuration, including the spaces of its environment, and claim a new run directory.

    :param config: a YAML file, the name of a shipped one, plain data, or ``None`` for overrides alone
    :param run_dir: must not exist, or be empty; ``runs/<config stem>_<UTC time>`` when left out
    :param overrides: ``KEY=VALUE`` texts, as for ``--set``
    :param checkpoint_dir: directory for the checkpoints, for example on a larger disk: they go into a subdirectory with
        the run's name, and the run directory gets a link to it
    :param mock: replace the environment by one with the same spaces and random data
    :param command: how the run was started, for ``meta.json``
    :param study: ``name`` and ``id`` of the study of which the run is a trial, and the number ``trial``, for
        ``meta.json``; ``None`` if it is not a trial
    :return: the argument of :func:`~sb3_ext.training.loop.train_run`
    :raises ConfigError: if the configuration is invalid
    :raises RunError: if the run directory or the checkpoint directory exists already or cannot be written
    """
    source = config if isinstance(config, ConfigSource) else read_source(config)
    parsed = parse_overrides(overrides)
    loaded = load_config(source, parsed)
    if mock:
        loaded = mock_environment(loaded)
    validate_memory(loaded)
    validate_setup(loaded, source, parsed)
    session = RunSession.create(
        name_run_directory(loaded, source.path) if run_dir is None else Path(run_dir),
        config_text=source.text,
        resolved_config_text=dump_config(loaded),
        meta={
            **describe_run(loaded, command),
            **_describe_source(source, parsed),
            **({} if study is None else {"study": dict(study)}),
        },
    )
    if checkpoint_dir is not None:
        place_checkpoints(session, checkpoint_dir)
    return RunStart(loaded, session)


def place_checkpoints(session: RunSession, directory: Path) -> None:
    """
    Keep the checkpoints of a new run in another directory, with a link in the run directory.

    :param session: session of the run; the run directory is removed if this fails
    :param directory: parent of the new checkpoint directory, which gets the run's name
    :raises RunError: if the checkpoint directory exists already or cannot be made
    """
    place = choose_checkpoint_place(session.paths, directory)
    with session.preparing():
        try:
            place.mkdir(parents=True)
            (place / RUN_LINK).symlink_to(session.paths.root)
            session.paths.checkpoints.symlink_to(place)
        except OSError as error:
            raise RunError(f"{place}: cannot create the checkpoint directory: {error.strerror}") from error


def choose_checkpoint_place(paths: RunPaths, directory: Path) -> Path:
    """
    :param paths: paths of a run
    :param directory: the given directory for checkpoints
    :return: the run's subdirectory in it
    """
    return directory.absolute() / paths.root.name


def parse_overrides(overrides: Iterable[str | Override]) -> list[Override]:
    """
    :param overrides: ``KEY=VALUE`` texts or overrides
    :return: overrides
    :raises ConfigError: if a text is not ``KEY=VALUE``
    """
    return [parse_override(item) if isinstance(item, str) else item for item in overrides]


def name_run_directory(config: RunConfig, path: Path | None) -> Path:
    """
    :param config: the configuration
    :param path: its file; ``None`` if it has none
    :return: ``runs/<config stem>_<UTC time>``, with a numeric suffix if that exists
    """
    name = f"{config.task_id}_{config.agent.id}" if path is None else path.stem
    name = re.sub(r"[^A-Za-z0-9._-]", "-", name).lstrip(".")
    stamp = datetime.now(timezone.utc).strftime("%Y-%m-%d_%H-%M-%S")
    candidates = (RUNS / f"{name}_{stamp}{suffix}" for suffix in ("", *(f"_{n}" for n in range(2, 1000))))
    return next(candidate for candidate in candidates if not candidate.exists())


def describe_run(config: RunConfig, command: str | None) -> dict[str, Any]:
    """
    :param config: the configuration
    :param command: how the run was started
    :return: the content of ``meta.json``
    """
    return {
        "command": command,
        "start_time_iso": datetime.now(timezone.utc).isoformat(timespec="seconds"),
        "seed": config.seed,
        "device": str(get_device(config.agent.device or "auto")),
        **describe_environment(),
    }


def _describe_source(source: ConfigSource, overrides: Iterable[Override]) -> dict[str, Any]:
    return {
        "overrides": {".".join(map(str, override.key)): override.value for override in overrides},
        "config_path": None if source.path is None else str(source.path.absolute()),
        "config_sha256": hashlib.sha256(source.text.encode()).hexdigest(),
    }
