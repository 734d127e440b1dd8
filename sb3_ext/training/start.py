"""Claim a run directory, new or to be continued, for what is to be trained in it."""

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
from sb3_ext.building.memory import check_memory
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
from sb3_ext.runs.environment import describe_environment
from sb3_ext.runs.paths import RUN_LINK, RunPaths
from sb3_ext.runs.run import Run
from sb3_ext.runs.session import RunSession


@dataclass(frozen=True)
class RunStart:
    """
    A run directory that is claimed, with what is to be trained in it.

    :param config: validated
    :param session: to be entered once, by :func:`~sb3_ext.training.loop.train_run`
    :param bundle: the checkpoint to go on from, verified; ``None`` to begin
    """

    config: RunConfig
    session: RunSession
    bundle: Bundle | None = None

    @property
    def run(self) -> Run:
        """The run, as anybody sees it."""
        return Run(self.session.paths.root)


def start_run(
    config: str | Path | Mapping[str, Any] | ConfigSource | None,
    run_dir: str | Path | None = None,
    overrides: Iterable[str | Override] = (),
    *,
    checkpoint_dir: Path | None = None,
    is_mock: bool = False,
    command: str | None = None,
) -> RunStart:
    """
    Validate a configuration, with the spaces of its environment, and claim a new run directory for it.

    :param config: a YAML file, the name of a shipped one, plain data, or ``None`` for overrides alone
    :param run_dir: must not exist, or be empty; ``runs/<config stem>_<UTC time>`` when left out
    :param overrides: ``KEY=VALUE`` texts, as for ``--set``
    :param checkpoint_dir: where the checkpoints go, in a directory of the run's name, on a larger disk say; the run
        directory has a link to it
    :param is_mock: put an environment of noise with the same spaces in place of the configured one
    :param command: how the run was started, for ``meta.json``
    :return: for :func:`~sb3_ext.training.loop.train_run`, at once
    :raises ConfigError: if the configuration cannot be used
    :raises RunError: if the run directory exists already or cannot be written, or that of the checkpoints
    """
    source = config if isinstance(config, ConfigSource) else read_source(config)
    parsed = parse_overrides(overrides)
    loaded = load_config(source, parsed)
    if is_mock:
        loaded = mock_environment(loaded)
    check_memory(loaded)
    validate_setup(loaded, source, parsed)
    session = RunSession.create(
        name_run_directory(loaded, source.path) if run_dir is None else Path(run_dir),
        config_text=source.text,
        resolved_config_text=dump_config(loaded),
        meta={**describe_run(loaded, command), **_describe_source(source, parsed)},
    )
    if checkpoint_dir is not None:
        place_checkpoints(session, checkpoint_dir)
    return RunStart(loaded, session)


def place_checkpoints(session: RunSession, directory: Path) -> None:
    """
    Keep the checkpoints of a new run elsewhere; the run directory has a link to them.

    :param session: of the run, which is removed again if this fails
    :param directory: gets a directory of the run's name
    :raises RunError: if there is one already, or it cannot be made
    """
    place = choose_checkpoint_place(session.paths, directory)
    with session.preparing():
        try:
            place.mkdir(parents=True)
            (place / RUN_LINK).symlink_to(session.paths.root)
            session.paths.checkpoints.symlink_to(place)
        except OSError as error:
            raise RunError(f"{place}: cannot be made for checkpoints: {error.strerror}") from error


def choose_checkpoint_place(paths: RunPaths, directory: Path) -> Path:
    """
    :param paths: of a run
    :param directory: given for its checkpoints
    :return: the directory in it that has them
    """
    return directory.absolute() / paths.root.name


def parse_overrides(overrides: Iterable[str | Override]) -> list[Override]:
    """
    :param overrides: texts or objects
    :return: objects
    :raises ConfigError: if a text is no ``KEY=VALUE``
    """
    return [parse_override(item) if isinstance(item, str) else item for item in overrides]


def name_run_directory(config: RunConfig, path: Path | None) -> Path:
    """
    :param config: the configuration
    :param path: its file, if it is one
    :return: ``runs/<config stem>_<UTC time>``, with a number behind it if that is taken
    """
    name = f"{config.task_id}_{config.agent.id}" if path is None else path.stem
    name = re.sub(r"[^A-Za-z0-9._-]", "-", name).lstrip(".")
    stamp = datetime.now(timezone.utc).strftime("%Y-%m-%d_%H-%M-%S")
    candidates = (Path("runs") / f"{name}_{stamp}{suffix}" for suffix in ("", *(f"_{n}" for n in range(2, 1000))))
    return next(candidate for candidate in candidates if not candidate.exists())


def describe_run(config: RunConfig, command: str | None) -> dict[str, Any]:
    """
    :param config: the configuration
    :param command: how the run was started
    :return: what every ``meta.json`` says
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
