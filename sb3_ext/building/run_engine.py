"""Choose what computes the updates of a run."""

from __future__ import annotations

import math

from stable_baselines3.common.base_class import BaseAlgorithm

from sb3_ext.checkpoints.bundle.bundle import Bundle
from sb3_ext.checkpoints.state.algorithm_state import read_engine_id
from sb3_ext.config.schema import RunConfig
from sb3_ext.config.train_schema import TrainConfig
from sb3_ext.engines.engine_choice import EngineChoice, choose_engine, choose_rank_engine
from sb3_ext.engines.engine_registry import AUTO_ENGINE
from sb3_ext.ranks.rank_group import RankGroup


def choose_run_engine(
    config: RunConfig, model: BaseAlgorithm, bundle: Bundle | None, group: RankGroup | None = None
) -> EngineChoice:
    """
    Choose the engine of a run.

    :param config: the whole configuration
    :param model: made from it
    :param bundle: the checkpoint to resume from; with ``auto``, the engine that it records is used
    :param group: the ranks that train the model; ``None`` for this process alone
    :return: the engine and its update
    :raises MissingExtraError: if the engine needs an extra that is not installed
    """
    engine_id = config.agent.engine
    if engine_id == AUTO_ENGINE and bundle is not None:
        engine_id = read_engine_id(bundle.read_state())
    if group is not None:
        return choose_rank_engine(engine_id, model, group)
    return choose_engine(engine_id, model, num_steps=estimate_steps(config.train))


def estimate_steps(train: TrainConfig) -> float:
    """
    Estimate how long a training is, for the question whether compiling pays.

    :param train: with at least one bound
    :return: environment transitions: of the lowest bound, if an episode takes 200 and a second 1,000
    """
    bounds = (
        math.inf if train.total_steps is None else train.total_steps,
        math.inf if train.total_episodes is None else 200 * train.total_episodes,
        math.inf if train.duration_seconds is None else 1000 * train.duration_seconds,
    )
    return min(bounds)
