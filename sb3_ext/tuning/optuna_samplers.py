"""Optuna's samplers and pruners by the names that they have in a configuration."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypeVar

import numpy as np
from optuna.pruners import BasePruner, MedianPruner
from optuna.samplers import BaseSampler

from sb3_ext.arguments import find_argument_problems, import_name
from sb3_ext.config import RunConfig
from sb3_ext.config.argument_ranges import PRUNER_RANGES, SAMPLER_RANGES
from sb3_ext.config.tune_schema import PRUNERS, SAMPLERS, TuneConfig
from sb3_ext.errors import ConfigError
from sb3_ext.internals.optuna import allow_experimental
from sb3_ext.ranges import Range

_PATIENCE = 3

Made = TypeVar("Made", BaseSampler, BasePruner)


def make_sampler(settings: TuneConfig, seed: int | None, trial_number: int) -> BaseSampler:
    """
    Make the sampler for one trial. Each trial has a seed of its own: otherwise processes, and a resumed study, would
    repeat each other's.

    :param settings: the section ``tune``
    :param seed: the configuration's
    :param trial_number: what it samples for
    :return: the sampler
    :raises ConfigError: if its parameters do not fit
    """
    kind, params = settings.sampler.type, settings.sampler.params
    own: dict[str, Any] = {"seed": None if seed is None else _mix(seed, trial_number)}
    if kind in ("tpe", "cmaes", "gp"):
        own["n_startup_trials"] = settings.startup_trials
    if kind == "tpe":
        own |= {"multivariate": True, "group": True, "constant_liar": True}
    if kind in ("cmaes", "gp"):
        own["warn_independent_sampling"] = False
    sampler_class: type[BaseSampler] = import_name(SAMPLERS[kind])
    return _make(sampler_class, {**own, **params}, params, "tune.sampler", SAMPLER_RANGES)


def make_pruner(config: RunConfig, settings: TuneConfig) -> BasePruner:
    """
    :param config: the whole configuration
    :param settings: the section ``tune``
    :return: the pruner; those that think in resources count environment transitions
    :raises ConfigError: if its parameters do not fit
    """
    kind = settings.pruner_type
    params = {} if settings.pruner is None else settings.pruner.params
    every_steps = config.eval.every_steps or 1
    own: dict[str, Any] = {}
    if kind == "median":
        own = {"n_startup_trials": settings.startup_trials}
    elif kind == "asha":
        own = {"min_resource": every_steps}
    elif kind == "hyperband":
        own = {"min_resource": every_steps, "max_resource": config.train.total_steps or "auto"}
    elif kind == "patient":
        own = {"wrapped_pruner": MedianPruner(settings.startup_trials), "patience": _PATIENCE}
    pruner_class: type[BasePruner] = import_name(PRUNERS[kind])
    return _make(pruner_class, {**own, **params}, params, "tune.pruner", PRUNER_RANGES)


def _make(
    function: Callable[..., Made],
    arguments: Mapping[str, Any],
    given: Mapping[str, Any],
    key: str,
    ranges: Mapping[str, Range],
) -> Made:
    problems = find_argument_problems(function, given, ranges=ranges)
    required = [problem for problem in problems if problem.key[0] in given]
    if required:
        raise ConfigError(f"{key}.params.{problem.key[0]}: {problem.message}" for problem in required)
    try:
        with allow_experimental():
            return function(**arguments)
    except (ImportError, TypeError, ValueError) as error:
        raise ConfigError(f"{key}: cannot be made with these parameters: {error}") from error


def _mix(seed: int, trial_number: int) -> int:
    return int(np.random.SeedSequence([seed, trial_number]).generate_state(1)[0])
