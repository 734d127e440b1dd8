"""Train a run: build environments, model and callbacks, learn, and finish."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager
from functools import partial
from typing import Any

import torch
from stable_baselines3.common.base_class import BaseAlgorithm
from stable_baselines3.common.callbacks import BaseCallback
from stable_baselines3.common.logger import Logger
from stable_baselines3.common.vec_env import VecEnv

from sb3_ext.advising.choice import resolve_parallel
from sb3_ext.algorithms.threads import measure_threads, using_threads
from sb3_ext.algorithms.unchecked import skip_distribution_checks
from sb3_ext.building.budgets import choose_total_steps
from sb3_ext.building.callbacks import Callbacks, make_callbacks
from sb3_ext.building.initial_weights import describe_origin
from sb3_ext.building.memory import explaining_memory_errors, validate_buffers
from sb3_ext.building.model import fill_config, make_model
from sb3_ext.building.rank_share import multiply_parallel, share_config
from sb3_ext.building.run_engine import choose_run_engine
from sb3_ext.building.trackers import log_files, start_trackers, summarize_run
from sb3_ext.building.training_environments import make_env
from sb3_ext.callbacks import (
    FirstRolloutCallback,
    FunctionCallback,
    LightCallbackList,
    NanStopCallback,
    RenderCallback,
    TrackingCallback,
    TrainingStopped,
)
from sb3_ext.callbacks.stops.trial_pruning import PrunableTrial
from sb3_ext.checkpoints.model_loading import restore_weights
from sb3_ext.checkpoints.model_source import find_model
from sb3_ext.checkpoints.store.checkpoint_writer import SaveOutcome
from sb3_ext.config import RunConfig, dump_config
from sb3_ext.engines.attachment import attaching
from sb3_ext.errors import CheckpointError, RankLostError, describe_error
from sb3_ext.interruption import Interruption, StopRequested
from sb3_ext.phases import Phases
from sb3_ext.ranks.common_start import starting_together
from sb3_ext.ranks.rank_group import RankGroup
from sb3_ext.runs.run import Run
from sb3_ext.runs.session import RunSession
from sb3_ext.runs.status import RANK_LOST
from sb3_ext.tracking.run_trackers import RunTrackers
from sb3_ext.training.ending import Ending, announce_ending, find_ending, validate_ending
from sb3_ext.training.model_registration import register_model
from sb3_ext.training.other_ranks import assign
from sb3_ext.training.start import RunStart
from sb3_ext.vec.closing import closing_environments
from sb3_ext.vec.snapshots.vec_snapshots import tolerate_full_disks

logger = logging.getLogger(__name__)

UserCallback = BaseCallback | Callable[[dict[str, Any]], Any]


def train_run(
    start: RunStart,
    callback: UserCallback | Sequence[UserCallback] = (),
    *,
    rendered: bool = False,
    trial: PrunableTrial | None = None,
    draws_curves: bool = True,
) -> Run:
    """
    Train in a claimed run directory.

    :param start: from :mod:`sb3_ext.training.start` or :mod:`sb3_ext.training.resuming`
    :param callback: SB3 callbacks, or functions of one dict (see :class:`~sb3_ext.callbacks.FunctionCallback`)
    :param rendered: show the environments in a window
    :param trial: Optuna trial that receives evaluations and may prune the training
    :param draws_curves: draw ``training_curves.png`` at the end, which takes a second
    :return: the run, ended
    """
    extra_callbacks = [*_as_callbacks(callback), *([RenderCallback()] if rendered else [])]
    with start.session as session:
        render_mode = "human" if rendered else None
        try:
            ending = _train(start, extra_callbacks, render_mode, trial, draws_curves)
        except StopRequested as stop:  # before training, or in the final evaluation
            logger.info("stopped: %s", stop.reason)
            ending = Ending(stop.reason)
        except RankLostError as error:  # before or after learning
            logger.error("%s", error)
            ending = Ending(RANK_LOST, str(error))
        session.finish(ending.reason, ending.detail)
    return start.run


def _train(
    start: RunStart,
    extra_callbacks: Sequence[BaseCallback],
    render_mode: str | None,
    trial: PrunableTrial | None,
    draws_curves: bool,
) -> Ending:
    session = start.session
    with ExitStack() as starting:
        starting.enter_context(session.starting())
        starting.enter_context(explaining_memory_errors(start.config))
        config = _resolve_parallel(start, render_mode)
        own_config = config
        if start.group is not None:
            assign(start.group, config, session.paths, start.bundle)
            each = config.parallel.num_envs // start.group.size
            logger.info("%d ranks train together, each with %d of the environments", start.group.size, each)
            own_config = share_config(config, start.group.placement)
        with starting_together(start.group):
            made = make_env(own_config, session.paths, render_mode=render_mode, resumed=start.bundle is not None)
        tolerate_full_disks(made)
        with closing_environments(made) as env, ExitStack() as engines:
            with starting_together(start.group):
                model, callbacks, phases = _make(start, config, own_config, env, extra_callbacks, trial, engines)
                resolved = fill_config(config, model)
                trackers = start_trackers(resolved, session, _find_resumed_step(start), lambda: model.num_timesteps)
            threads = config.agent.threads
            model.set_logger(Logger(folder=None, output_formats=[trackers.output]))
            with (
                _tracking(trackers, callbacks, session) as record_ending,
                closing(model.logger),
                closing(callbacks),
                using_threads(_choose_threads(threads, model)),
            ):
                with starting_together(start.group):
                    # Not before: a run that a tracker refuses keeps its configuration.
                    session.write_resolved_config(dump_config(resolved))
                first: list[BaseCallback] = [FirstRolloutCallback(starting.close)]
                if trackers.has_journal:
                    first.append(TrackingCallback(trackers))
                called = [*callbacks.all[:1], *first, *callbacks.all[1:]]
                try:
                    ending = _learn_and_save(model, config, session, callbacks, phases, called, start.group)
                    if ending.status == "completed":
                        _evaluate(config, callbacks, session.interruption)
                finally:
                    if callbacks.checkpoints.has_begun:
                        # After a signal only a few seconds may be left.
                        hurried = session.signals.received is not None or not draws_curves
                        with phases.during("saving"):
                            callbacks.finish_reports(hurried=hurried)
                record_ending(ending)
    return ending


@contextmanager
def _tracking(trackers: RunTrackers, callbacks: Callbacks, session: RunSession) -> Iterator[Callable[[Ending], None]]:
    """Finish the trackers at the end of the block, with the ending that is recorded in it, or the exception."""
    endings: list[Ending] = []

    def finish(ending: Ending) -> None:
        trackers.drop_after_checkpoint()
        log_files(trackers, session.paths)
        if ending.status == "completed":
            register_model(trackers, callbacks, session.paths)
        summary = summarize_run(callbacks, session, ending.reason, ending.detail)
        trackers.finish(ending.status, summary, hurried=session.signals.received is not None)

    callbacks.checkpoints.on_outcome.append(partial(_mark_durable, trackers))
    try:
        yield endings.append
    except (KeyboardInterrupt, StopRequested) as stop:
        finish(Ending(stop.reason if isinstance(stop, StopRequested) else "interrupt"))
        raise
    except BaseException as error:
        finish(Ending(f"error: {describe_error(error)}"))
        raise
    else:
        finish(endings[-1])


def _mark_durable(trackers: RunTrackers, outcome: SaveOutcome) -> None:
    if outcome.bundle is not None:
        trackers.mark_durable(outcome.step)


def _make(
    start: RunStart,
    config: RunConfig,
    own_config: RunConfig,
    env: VecEnv,
    extra_callbacks: Sequence[BaseCallback],
    trial: PrunableTrial | None,
    engines: ExitStack,
) -> tuple[BaseAlgorithm, Callbacks, Phases]:
    session, phases = start.session, Phases()
    validate_buffers(own_config, env.observation_space, env.action_space)
    model = make_model(own_config, env)
    choice = choose_run_engine(config, model, start.bundle, start.group)
    engines.enter_context(attaching(model, choice.engine.id, choice.update))
    logger.info("run directory: %s", session.paths.root)
    session.status.update(mock=config.is_mock)
    if config.is_mock:
        logger.warning("mock environment: observations and rewards are noise")
    callbacks = make_callbacks(config, session, phases, extra_callbacks, trial, start.group)
    if start.bundle is not None:
        callbacks.checkpoints.on_restored.append(session.note_approximate)
        callbacks.checkpoints.resume_from(start.bundle, model, threads=config.agent.fixed_threads)
    elif config.agent.init_from is not None:
        _restore_weights(model, config)
    return model, callbacks, phases


def _learn_and_save(
    model: BaseAlgorithm,
    config: RunConfig,
    session: RunSession,
    callbacks: Callbacks,
    phases: Phases,
    called: list[BaseCallback],
    group: RankGroup | None,
) -> Ending:
    try:
        ending = _learn(model, config, called)
    except BaseException:
        if group is not None:
            group.abandon()
        if callbacks.checkpoints.has_begun:
            _save(session, callbacks, phases)
        raise
    _save(session, callbacks, phases)
    callbacks.checkpoints.release_ranks()
    return validate_ending(ending, model, callbacks.checkpoints)


def _save(session: RunSession, callbacks: Callbacks, phases: Phases) -> None:
    phases.listeners.append(partial(_show_phase, session))
    with phases.during("saving"):
        callbacks.checkpoints.finish()
        callbacks.finish_reports(hurried=True)


def _restore_weights(model: BaseAlgorithm, config: RunConfig) -> None:
    source = find_model(str(config.agent.init_from))
    try:
        restore_weights(model, source)
    except CheckpointError as error:
        message = f"agent.init_from: {config.agent.init_from}: {error}"
        origin = describe_origin(config, source)
        raise CheckpointError(message if origin is None else f"{message}; {origin}") from error


def _learn(model: BaseAlgorithm, config: RunConfig, callbacks: list[BaseCallback]) -> Ending:
    total_steps = config.train.total_steps
    announce_ending(model, total_steps)
    bound = choose_total_steps(config, model, callbacks)
    called = LightCallbackList(callbacks)
    try:
        # EpisodeLoggingCallback logs; None switches off SB3's logging, although its annotation does not allow None.
        with skip_distribution_checks():
            model.learn(bound, callback=called, log_interval=None, reset_num_timesteps=False)  # type: ignore[arg-type]
    except TrainingStopped as stopped:
        called.on_training_end()  # SB3 skips this after an exception
        return find_ending(model, callbacks, total_steps, stopped.reason)
    except RankLostError as error:
        # Without on_training_end: this is not between two rollouts.
        logger.error("%s", error)
        return Ending(RANK_LOST, str(error))
    except (RuntimeError, ValueError):
        # An evaluation with NaN weights may fail before NanStopCallback ends the training.
        if any(isinstance(callback, NanStopCallback) and callback.stop_reason for callback in callbacks):
            return Ending("nan")
        raise
    return find_ending(model, callbacks, total_steps)


def _evaluate(config: RunConfig, callbacks: Callbacks, interruption: Interruption) -> None:
    """Evaluate the final model."""
    # Games on mirror boards do not count as episodes.
    if callbacks.metrics.episodes == 0 and config.game is None:
        logger.info(
            "no episode has ended in this training, so the final evaluation is skipped; "
            "set env.max_steps to truncate episodes that never end"
        )
        return
    logger.info("final evaluation …")
    for evaluation in (callbacks.evaluation, *callbacks.other_evaluations):
        evaluation.finish(interruption)
    callbacks.checkpoints.finish()


def _resolve_parallel(start: RunStart, render_mode: str | None) -> RunConfig:
    """:return: the configuration with a parallel mode, which is measured with the environments of one process"""
    config, group = start.config, start.group
    own = config if group is None else share_config(config, group.placement)
    resolved = resolve_parallel(own, rendered=render_mode is not None, interruption=start.session.interruption)
    if group is None:
        return resolved
    return config.model_copy(update={"parallel": multiply_parallel(resolved.parallel, group.size)})


def _find_resumed_step(start: RunStart) -> int | None:
    return None if start.bundle is None else start.bundle.step


def _show_phase(session: RunSession, phase: str) -> None:
    session.status.update(phase=phase)
    session.status.write()


def _choose_threads(threads: int | str, model: BaseAlgorithm) -> int:
    chosen = threads if isinstance(threads, int) else measure_threads(model)
    logger.info("torch uses %d of %d threads", chosen, torch.get_num_threads())
    return chosen


def _as_callbacks(callback: UserCallback | Sequence[UserCallback]) -> list[BaseCallback]:
    given = [callback] if isinstance(callback, BaseCallback) or callable(callback) else callback
    return [item if isinstance(item, BaseCallback) else FunctionCallback(item) for item in given]
