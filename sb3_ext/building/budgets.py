"""
Choose the bound that the schedules of a training follow.

Steps or episodes, if they are bounded: then a seeded training has the same rates in every run. Otherwise time.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence

from stable_baselines3.common.base_class import BaseAlgorithm
from stable_baselines3.common.callbacks import BaseCallback

from sb3_ext.algorithms.algorithm_registry import get_algorithm
from sb3_ext.algorithms.schedules import is_linear
from sb3_ext.callbacks import DataParallelCallback, EpisodeBudgetCallback, EstimatedSteps, TimeBudgetCallback
from sb3_ext.callbacks.estimated_steps import Budget
from sb3_ext.config.schema import RunConfig


def choose_total_steps(config: RunConfig, model: BaseAlgorithm, callbacks: Sequence[BaseCallback]) -> int:
    """
    :param config: the whole configuration
    :param model: about to learn; perhaps resumed
    :param callbacks: those of ``learn``
    :return: ``total_timesteps`` for ``learn``, without the steps of a resumed model; an ``EstimatedSteps`` if schedules
        follow episodes or time
    """
    total_steps = config.train.total_steps
    bound = (sys.maxsize if total_steps is None else total_steps) - model.num_timesteps
    kind = TimeBudgetCallback if follows_time(config) else EpisodeBudgetCallback
    budgets: list[Budget] = [callback for callback in callbacks if isinstance(callback, kind)]
    if follows_time(config):  # of several ranks, all follow the clock of rank 0
        budgets = [callback for callback in callbacks if isinstance(callback, DataParallelCallback)] or budgets
    return EstimatedSteps(model, budgets, bound) if budgets else bound


def follows_time(config: RunConfig) -> bool:
    """
    :param config: the whole configuration
    :return: whether schedules follow the time used, as the only bound
    """
    return config.train.total_steps is None and config.train.total_episodes is None


def explain_inexact_schedules(config: RunConfig) -> str | None:
    """
    :param config: the whole configuration
    :return: why the rates of a resumed run differ from those of an uninterrupted one; ``None`` if they are the same
    """
    if not follows_time(config):
        return None
    names = [f"agent.params.{name}" for name, value in config.agent.params.items() if is_linear(value)]
    has_decay = any(entry.type == "epsilon_decay" and entry.enabled for entry in config.train.callbacks)
    if get_algorithm(config.agent.id).has_epsilon and not has_decay and not config.train.deterministic:
        names.append("exploration")
    return f"it depends on the time used: {', '.join(names)}" if names else None
