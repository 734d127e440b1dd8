"""Train on a rank other than rank 0, which has no run directory of its own."""

from __future__ import annotations

from contextlib import ExitStack, suppress
from dataclasses import dataclass
from pathlib import Path

from stable_baselines3.common.base_class import BaseAlgorithm
from stable_baselines3.common.callbacks import BaseCallback
from stable_baselines3.common.logger import Logger

from sb3_ext.algorithms.threads import using_threads
from sb3_ext.algorithms.unchecked import skip_distribution_checks
from sb3_ext.building.budgets import choose_total_steps
from sb3_ext.building.callbacks import make_rank_callbacks
from sb3_ext.building.model import make_model
from sb3_ext.building.rank_share import share_config
from sb3_ext.building.run_engine import choose_run_engine
from sb3_ext.building.training_environments import make_env
from sb3_ext.callbacks import LightCallbackList, RankPartCallback, StopCallback, TrainingStopped
from sb3_ext.checkpoints.bundle.bundle import Bundle, open_bundle
from sb3_ext.checkpoints.state.random_state import seed_anew
from sb3_ext.config import RunConfig
from sb3_ext.engines.attachment import attaching
from sb3_ext.errors import CheckpointError, RankLostError
from sb3_ext.ranks.common_start import StartFailed, starting_together
from sb3_ext.ranks.rank_group import RankGroup
from sb3_ext.runs.paths import RunPaths
from sb3_ext.runs.signals import SignalWatch
from sb3_ext.vec.closing import closing_environments

EXIT_USAGE = 2
"""Exit status of a mistake in the configuration or on the command line."""


@dataclass(frozen=True)
class Assignment:
    """
    What rank 0 tells the other ranks to train.

    :param config: the whole configuration
    :param root: the run directory
    :param checkpoint: the checkpoint to resume from; ``None`` for a new run
    """

    config: RunConfig
    root: Path
    checkpoint: Path | None


@dataclass(frozen=True)
class NothingToDo:
    """
    What rank 0 tells the other ranks if there is nothing to train.

    :param exit_status: of the command
    """

    exit_status: int


def assign(group: RankGroup, config: RunConfig, paths: RunPaths, bundle: Bundle | None) -> None:
    """
    Tell the other ranks what to train.

    :param group: the ranks, of which this is rank 0
    :param config: the whole configuration, with a parallel mode
    :param paths: of the run
    :param bundle: the checkpoint to resume from; ``None`` for a new run
    :raises RankLostError: if a rank has ended
    """
    group.share(Assignment(config, paths.root, None if bundle is None else bundle.path))


def dismiss(group: RankGroup, exit_status: int) -> None:
    """
    Tell the other ranks that there is nothing to train. Does nothing if one has ended.

    :param group: the ranks, of which this is rank 0
    :param exit_status: of the command
    """
    with suppress(RankLostError):
        group.share(NothingToDo(exit_status))


def train_assigned(group: RankGroup) -> str | NothingToDo | None:
    """
    Train what rank 0 assigns, until it has saved the final state.

    :param group: the ranks, of which this is not rank 0
    :return: the reason of a stop that all ranks have in common, ``None`` without one; or why nothing was trained
    :raises RankLostError: if a rank has ended
    """
    with SignalWatch() as signals, ExitStack() as stack:
        with signals.at_once():
            assignment: Assignment | NothingToDo | None = group.share(None)
            assert assignment is not None, "rank 0 tells what to do"
            if isinstance(assignment, NothingToDo):
                return assignment
            try:
                model, part, callbacks = _make(group, assignment, signals, stack)
            except StartFailed:
                return NothingToDo(EXIT_USAGE)
        threads = assignment.config.agent.threads
        with using_threads(threads if isinstance(threads, int) else 1):
            reason = _learn(model, assignment.config, callbacks)
            part.finish()
        return reason


def _make(
    group: RankGroup, assignment: Assignment, signals: SignalWatch, stack: ExitStack
) -> tuple[BaseAlgorithm, RankPartCallback, list[BaseCallback]]:
    config = share_config(assignment.config, group.placement)
    is_resumed = assignment.checkpoint is not None
    with starting_together(group):
        env = make_env(config, RunPaths(assignment.root), resumed=is_resumed, rank=group.rank)
        stack.enter_context(closing_environments(env))
    with starting_together(group):
        bundle = None if assignment.checkpoint is None else _open(assignment.checkpoint, group)
        model = make_model(config, env)
        if config.seed is not None:
            seed_anew(model, group.rank)
        choice = choose_run_engine(assignment.config, model, bundle, group)
        stack.enter_context(attaching(model, choice.engine.id, choice.update))
        part, callbacks = make_rank_callbacks(assignment.config, signals, group)
        if bundle is not None:
            part.resume_from(bundle, model, threads=config.agent.fixed_threads)
        model.set_logger(Logger(folder=None, output_formats=[]))
    with starting_together(group):
        pass  # rank 0 writes the configuration
    return model, part, callbacks


def _learn(model: BaseAlgorithm, config: RunConfig, callbacks: list[BaseCallback]) -> str | None:
    called = LightCallbackList(callbacks)
    try:
        with skip_distribution_checks():
            bound = choose_total_steps(config, model, callbacks)
            model.learn(bound, callback=called, log_interval=None, reset_num_timesteps=False)  # type: ignore[arg-type]
    except TrainingStopped as stopped:
        called.on_training_end()
        return stopped.reason
    return next((item.stop_reason for item in callbacks if isinstance(item, StopCallback) and item.stop_reason), None)


def _open(path: Path, group: RankGroup) -> Bundle:
    try:
        return open_bundle(path)
    except CheckpointError as error:
        raise CheckpointError(
            f"rank {group.rank} cannot read the checkpoint: {error}; all machines must see the run directory"
        ) from error
