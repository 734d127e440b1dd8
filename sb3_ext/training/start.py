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

from sb3_ext.checkpoints.bundle import Bundle
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
from sb3_ext.runs.paths import RUN_LINK
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

    def place_checkpoints(self, directory: Path) -> None:
        """
        Keep the checkpoints elsewhere, on a larger disk say; the run directory has a link to them.

        :param directory: gets a directory of the run's name
        :raises RunError: if there is one already, or it cannot be made
        """
        place = directory.absolute() / self.session.paths.root.name
        try:
            place.mkdir(parents=True)
            (place / RUN_LINK).symlink_to(self.session.paths.root)
            self.session.paths.checkpoints.symlink_to(place)
        except OSError as error:
            with self.session:  # takes the run directory away again
                raise RunError(f"{place}: cannot be made for checkpoints: {error.strerror}") from error


def start_run(
    config: str | Path | Mapping[str, Any] | ConfigSource | None,
    run_dir: str | Path | None = None,
    overrides: Iterable[str | Override] = (),
    *,
    command: str | None = None,
    is_mock: bool = False,
) -> RunStart:
    """
    Validate a configuration and claim a new run directory for it.

    :param config: a YAML file, the name of a shipped one, plain data, or ``None`` for overrides alone
    :param run_dir: must not exist, or be empty; ``runs/<config stem>_<UTC time>`` when left out
    :param overrides: ``KEY=VALUE`` texts, as for ``--set``
    :param command: how the run was started, for ``meta.json``
    :param is_mock: put an environment of noise with the same spaces in place of the configured one
    :return: for :func:`~sb3_ext.training.loop.train_run`, at once
    :raises ConfigError: if the configuration cannot be used
    :raises RunError: if the run directory exists already or cannot be written
    """
    source = config if isinstance(config, ConfigSource) else read_source(config)
    parsed = parse_overrides(overrides)
    loaded = load_config(source, parsed)
    if is_mock:
        loaded = mock_environment(loaded)
    session = RunSession.create(
        name_run_directory(loaded, source.path) if run_dir is None else Path(run_dir),
        config_text=source.text,
        resolved_config_text=dump_config(loaded),
        meta={**describe_run(loaded, command), **_describe_source(source, parsed)},
    )
    return RunStart(loaded, session)


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
