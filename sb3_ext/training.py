"""The composition root: from a configuration to a finished run directory."""

from __future__ import annotations

import hashlib
import io
import logging
import re
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import datetime, timezone
from functools import partial
from pathlib import Path
from typing import Any

import torch
from stable_baselines3.common.base_class import BaseAlgorithm
from stable_baselines3.common.callbacks import BaseCallback
from stable_baselines3.common.logger import Logger, TensorBoardOutputFormat
from stable_baselines3.common.utils import get_device

from sb3_ext.algorithms.threads import measure_threads
from sb3_ext.atomic import write_bytes, write_text
from sb3_ext.building.callbacks import Callbacks, make_callbacks
from sb3_ext.building.environments import make_env
from sb3_ext.building.model import fill_config, make_model
from sb3_ext.callbacks import FunctionCallback, RenderCallback, StopCallback, TrainingStopped
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
from sb3_ext.phases import Phases
from sb3_ext.runs.environment import describe_environment
from sb3_ext.runs.run import Run
from sb3_ext.runs.session import RunSession
from sb3_ext.runs.status import status_for

logger = logging.getLogger(__name__)

UserCallback = BaseCallback | Callable[[dict[str, Any]], Any]


@dataclass(frozen=True)
class RunStart:
    """
    A run directory that is claimed, with what is to be trained in it.

    :param config: validated
    :param session: to be entered once, by :func:`train_run`
    """

    config: RunConfig
    session: RunSession

    @property
    def run(self) -> Run:
        """The run, as anybody sees it."""
        return Run(self.session.paths.root)


def train(
    config: str | Path | Mapping[str, Any] | None = None,
    *,
    run_dir: str | Path | None = None,
    overrides: Iterable[str | Override] = (),
    command: str | None = None,
    callback: UserCallback | Sequence[UserCallback] = (),
) -> Run:
    """
    Train from a configuration, in a new run directory.

    :param config: a YAML file, the name of a shipped one, plain data, or ``None`` for overrides alone
    :param run_dir: must not exist, or be empty; ``runs/<config stem>_<UTC time>`` when left out
    :param overrides: ``KEY=VALUE`` texts, as for ``--set``
    :param command: how the run was started, for ``meta.json``
    :param callback: SB3 callbacks, or functions of one dict (see :class:`~sb3_ext.callbacks.FunctionCallback`)
    :return: the run, ended: its status says how
    :raises ConfigError: if the configuration cannot be used; no directory is left behind
    :raises RunError: if the run directory exists already or cannot be written
    """
    return train_run(start_run(config, run_dir, overrides, command=command), callback)


def load_run(directory: str | Path) -> Run:
    """
    Open a run directory, of a living run or of one that ended.

    :param directory: the run directory
    :return: the run: ``.status``, ``.record``, ``.metrics``, ``.meta``, ``.paths``
    :raises RunError: if that is no run directory
    """
    return Run(Path(directory))


def start_run(
    config: str | Path | Mapping[str, Any] | None,
    run_dir: str | Path | None = None,
    overrides: Iterable[str | Override] = (),
    *,
    command: str | None = None,
    is_mock: bool = False,
) -> RunStart:
    """
    The first half of :func:`train`: validate, and claim the run directory. Parameters and errors are the same.

    :param is_mock: put an environment of noise with the same spaces in place of the configured one
    :return: for :func:`train_run`, at once
    """
    source = read_source(config)
    parsed = [parse_override(item) if isinstance(item, str) else item for item in overrides]
    loaded = load_config(source, parsed)
    if is_mock:
        loaded = mock_environment(loaded)
    session = RunSession.create(
        _name_run_directory(source, loaded) if run_dir is None else Path(run_dir),
        config_text=source.text,
        resolved_config_text=dump_config(loaded),
        meta=_describe_run(loaded, source, parsed, command),
    )
    return RunStart(loaded, session)


def train_run(
    start: RunStart, callback: UserCallback | Sequence[UserCallback] = (), *, is_rendered: bool = False
) -> Run:
    """
    The second half of :func:`train`.

    :param start: what :func:`start_run` returned
    :param callback: as for :func:`train`
    :param is_rendered: show the environments in a window meanwhile
    :return: the run, ended
    """
    extra_callbacks = [*_as_callbacks(callback), *([RenderCallback()] if is_rendered else [])]
    with start.session as session:
        session.finish(_train(start.config, session, extra_callbacks, "human" if is_rendered else None))
    return start.run


def _train(
    config: RunConfig, session: RunSession, extra_callbacks: Sequence[BaseCallback], render_mode: str | None
) -> str:
    """:return: the reason that the run ended"""
    with closing(make_env(config, session.paths.monitor, render_mode)) as env:
        model = make_model(config, env)
        write_text(session.paths.resolved_config, dump_config(fill_config(config, model)))
        logger.info("run directory: %s", session.paths.root)
        phases = Phases()
        callbacks = make_callbacks(config, session, phases)
        tensorboard = TensorBoardOutputFormat(str(session.paths.tensorboard))
        model.set_logger(Logger(folder=None, output_formats=[tensorboard]))
        with closing(model.logger), closing(callbacks):
            try:
                with _use_threads(config.agent.threads, model):
                    stop_reason = _learn(model, config, [*callbacks.all, *extra_callbacks])
            finally:
                phases.listeners.append(partial(_show_phase, session))
                with phases.during("saving"):
                    _save_model(model, session.paths.latest_model)
                    callbacks.save_metrics()
            if status_for(stop_reason) == "completed":
                _evaluate(callbacks)
        return stop_reason


def _learn(model: BaseAlgorithm, config: RunConfig, callbacks: list[BaseCallback]) -> str:
    total_steps = config.train.total_steps
    # Without a bound of steps another one ends the run; no schedule depends on the total then.
    bound = sys.maxsize if total_steps is None else total_steps
    try:
        # Logging is EpisodeLoggingCallback's: None switches off SB3's own, although its annotation has no None.
        model.learn(bound, callback=callbacks, log_interval=None)  # type: ignore[arg-type]
    except TrainingStopped as stopped:
        return stopped.reason
    reasons = (callback.stop_reason for callback in callbacks if isinstance(callback, StopCallback))
    fallback = "total_steps" if total_steps is not None and model.num_timesteps >= total_steps else "callback"
    return next((reason for reason in reasons if reason is not None), fallback)


def _evaluate(callbacks: Callbacks) -> None:
    """Judge the final model."""
    if callbacks.metrics.episodes == 0:
        logger.warning("no episode has ended during training, so there is no final evaluation; set env.max_steps?")
        return
    callbacks.evaluation.finish()
    callbacks.save_metrics()


def _save_model(model: BaseAlgorithm, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    buffer = io.BytesIO()
    model.save(buffer)
    write_bytes(path, buffer.getvalue())


def _show_phase(session: RunSession, phase: str) -> None:
    session.status.update(phase=phase)
    session.status.write()


@contextmanager
def _use_threads(threads: int | str, model: BaseAlgorithm) -> Iterator[None]:
    """Torch's number of threads belongs to the process: put it back for whoever trains from Python."""
    before = torch.get_num_threads()
    chosen = threads if isinstance(threads, int) else measure_threads(model)
    logger.info("torch uses %d of %d threads", chosen, before)
    torch.set_num_threads(chosen)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def _name_run_directory(source: ConfigSource, config: RunConfig) -> Path:
    """``runs/<config stem>_<UTC time>``, with a number behind it if that is taken."""
    name = f"{config.env.id}_{config.agent.id}" if source.path is None else source.path.stem
    name = re.sub(r"[^A-Za-z0-9._-]", "-", name).lstrip(".")
    stamp = datetime.now(timezone.utc).strftime("%Y-%m-%d_%H-%M-%S")
    candidates = (Path("runs") / f"{name}_{stamp}{suffix}" for suffix in ("", *(f"_{n}" for n in range(2, 1000))))
    return next(candidate for candidate in candidates if not candidate.exists())


def _describe_run(
    config: RunConfig, source: ConfigSource, overrides: Iterable[Override], command: str | None
) -> dict[str, Any]:
    """:return: ``meta.json``"""
    return {
        "command": command,
        "overrides": {".".join(map(str, override.key)): override.value for override in overrides},
        "start_time_iso": datetime.now(timezone.utc).isoformat(timespec="seconds"),
        "seed": config.seed,
        "device": str(get_device(config.agent.device or "auto")),
        "config_path": None if source.path is None else str(source.path.absolute()),
        "config_sha256": hashlib.sha256(source.text.encode()).hexdigest(),
        **describe_environment(),
    }


def _as_callbacks(callback: UserCallback | Sequence[UserCallback]) -> list[BaseCallback]:
    given = [callback] if isinstance(callback, BaseCallback) or callable(callback) else callback
    return [item if isinstance(item, BaseCallback) else FunctionCallback(item) for item in given]
