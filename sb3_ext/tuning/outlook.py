"""Describe before a study starts what it runs, and estimate how long that takes."""

from __future__ import annotations

import logging
import math
from collections.abc import Iterator

from sb3_ext.advising.agent_cost import measure_agent
from sb3_ext.advising.step_time import measure_step_seconds
from sb3_ext.building.training_environments import make_environment_factory
from sb3_ext.config import RunConfig
from sb3_ext.problems import describe_seconds
from sb3_ext.tuning.plan import TuningPlan
from sb3_ext.vec.workers.worker_split import count_cores

logger = logging.getLogger(__name__)

_LEAST_MEASURED_STEPS = 100_000  # a study of fewer steps in all is over soon
_MEASURING_SECONDS = 1.0


def describe_outlook(plan: TuningPlan, ended: int = 0) -> list[str]:
    """
    Takes some seconds where there is much to do: the speed of a training is measured.

    :param plan: of the study
    :param ended: how many of its trials are over
    :return: lines for people
    """
    return [
        *_describe_trials(plan, ended),
        *_describe_time(plan, max(0, plan.settings.trials - ended)),
        "Ctrl+C stops it, and the same command continues it; --trials and --timeout limit it",
    ]


def _describe_trials(plan: TuningPlan, ended: int) -> Iterator[str]:
    config, settings = plan.config, plan.settings
    if config.tune is None:
        yield f"{plan.source.place} has no section tune: defaults are used, such as --trials {settings.trials}"
    trials = f"{settings.trials:,} trials" if ended == 0 else f"{settings.trials:,} trials, {ended:,} of them done"
    jobs = "one at a time" if settings.jobs == 1 else f"{settings.jobs:,} at a time"
    space = "from the default space of the algorithm" if settings.space is None else "from tune.space"
    keys = len(plan.space.dimensions)
    yield f"study {plan.name}: {trials}, {jobs}; values for {keys} {'key' if keys == 1 else 'keys'} {space}"
    runs = "" if settings.seeds == 1 else f" in each of {settings.seeds:,} runs"
    pruning = "" if settings.pruner_type == "none" else f"; the {settings.pruner_type} pruner ends bad ones early"
    yield f"each trial trains {_describe_bounds(config)}{runs}{pruning}"


def _describe_bounds(config: RunConfig) -> str:
    train = config.train
    bounds = [
        None if train.total_steps is None else f"{train.total_steps:,} steps",
        None if train.total_episodes is None else f"{train.total_episodes:,} episodes",
        None if train.duration_seconds is None else describe_seconds(train.duration_seconds),
    ]
    return " or ".join(bound for bound in bounds if bound is not None)


def _describe_time(plan: TuningPlan, trials: int) -> Iterator[str]:
    config, settings = plan.config, plan.settings
    at_a_time = settings.jobs if plan.is_distributed else min(settings.jobs, count_cores())
    runs = trials * settings.seeds
    longest = math.inf if settings.timeout_seconds is None else settings.timeout_seconds
    if config.train.duration_seconds is not None:
        longest = min(longest, runs * config.train.duration_seconds / at_a_time)
    at_most = "" if math.isinf(longest) else f", at most {describe_seconds(longest)}"
    if config.train.total_steps is None:
        yield f"in all {runs:,} {'training' if runs == 1 else 'trainings'}{at_most}"
        return
    steps = runs * config.train.total_steps
    speed = _measure_speed(config) if steps >= _LEAST_MEASURED_STEPS else None
    if speed is None:
        yield f"in all up to {steps:,} steps{at_most}"
        return
    seconds = min(longest, steps / speed / at_a_time)
    yield (
        f"in all up to {steps:,} steps{at_most}; about {describe_seconds(seconds)} at the {speed:,.0f} steps per "
        "second measured now, beside evaluations and before anything is pruned"
    )


def _measure_speed(config: RunConfig) -> float | None:
    """:return: steps per second of a training; ``None`` if it fails, or a game has rollouts that take longer"""
    try:
        cost = measure_agent(config, _MEASURING_SECONDS)
        if cost.collecting_seconds is not None:
            step_seconds = cost.collecting_seconds + cost.update_seconds
        elif config.env is None:
            return None
        else:
            env_seconds = config.parallel.num_envs * measure_step_seconds(make_environment_factory(config.env))
            step_seconds = cost.predict_step_seconds(env_seconds, env_seconds)
    except Exception as error:  # any error of the user's environment: the first trial shows it
        logger.debug("the speed of a training cannot be measured: %r", error)
        return None
    return config.parallel.num_envs / max(step_seconds, 1e-9)
