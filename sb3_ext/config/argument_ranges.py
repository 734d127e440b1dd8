"""
The range of every number in the arguments that a configuration has for classes of Gymnasium, SB3 and Optuna: one table
for each kind, by the argument's name. Those of algorithms are in ``algorithms/parameter_ranges.py``; a class of this
package has the ranges in its annotations.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from sb3_ext.ranges import (
    FINITE,
    FRACTION,
    NON_NEGATIVE,
    NON_NEGATIVE_INTEGER,
    POSITIVE,
    POSITIVE_INTEGER,
    POSITIVE_OR_INFINITE,
    Range,
)

NORMALIZE_RANGES: dict[str, Range] = {
    "clip_obs": POSITIVE_OR_INFINITE,
    "clip_reward": POSITIVE_OR_INFINITE,
    "epsilon": POSITIVE,
    "gamma": FRACTION,
}
"""``env.normalize``."""

WRAPPER_RANGES: dict[str, Range] = {
    "action_repeat_probability": FRACTION,
    "bins": POSITIVE_INTEGER,
    "buffer_length": POSITIVE_INTEGER,
    "delay": NON_NEGATIVE_INTEGER,
    "epsilon": POSITIVE,
    "fps": POSITIVE_INTEGER,
    "frame_skip": POSITIVE_INTEGER,
    "gamma": FRACTION,
    "height": POSITIVE_INTEGER,
    "max_action": FINITE,
    "max_episode_steps": POSITIVE_INTEGER,
    "max_obs": FINITE,
    "max_reward": Range("a number or .inf", low=float("-inf"), high=float("inf")),
    "min_action": FINITE,
    "min_obs": FINITE,
    "min_reward": Range("a number or -.inf", low=float("-inf"), high=float("inf")),
    "noop_max": NON_NEGATIVE_INTEGER,
    "num_repeats": POSITIVE_INTEGER,
    "obstructed_pixels_ratio": FRACTION,
    "obstruction_width": POSITIVE_INTEGER,
    "probability_of_noise_per_pixel": FRACTION,
    "repeat_action_duration": POSITIVE_INTEGER,
    "repeat_action_probability": FRACTION,
    "screen_size": POSITIVE_INTEGER,
    "shape": POSITIVE_INTEGER,
    "skip": POSITIVE_INTEGER,
    "stack_size": POSITIVE_INTEGER,
    "video_length": NON_NEGATIVE_INTEGER,
    "width": POSITIVE_INTEGER,
}
"""``env.wrappers``, of Gymnasium and SB3."""

CALLBACK_RANGES: dict[str, Range] = {
    "eval_freq": POSITIVE_INTEGER,
    "max_episodes": POSITIVE_INTEGER,
    "max_no_improvement_evals": NON_NEGATIVE_INTEGER,
    "min_evals": NON_NEGATIVE_INTEGER,
    "n_eval_episodes": POSITIVE_INTEGER,
    "n_steps": POSITIVE_INTEGER,
    "reward_threshold": FINITE,
    "save_freq": POSITIVE_INTEGER,
    "verbose": NON_NEGATIVE_INTEGER,
}
"""``train.callbacks``, of SB3; those of this package have their ranges in their annotations."""

SAMPLER_RANGES: dict[str, Range] = {
    "crossover_prob": FRACTION,
    "inc_popsize": Range("an integer", is_whole=True),
    "mutation_prob": FRACTION,
    "n_ei_candidates": POSITIVE_INTEGER,
    "n_startup_trials": NON_NEGATIVE_INTEGER,
    "popsize": Range("an integer >= 2", low=2, is_whole=True),
    "population_size": Range("an integer >= 2", low=2, is_whole=True),
    "prior_weight": POSITIVE,
    "seed": NON_NEGATIVE_INTEGER,
    "sigma0": POSITIVE,
    "swapping_prob": FRACTION,
    "x0": FINITE,
}
"""``tune.sampler.params``."""

PRUNER_RANGES: dict[str, Range] = {
    "bootstrap_count": NON_NEGATIVE_INTEGER,
    "interval_steps": POSITIVE_INTEGER,
    "max_resource": POSITIVE_INTEGER,
    "min_delta": NON_NEGATIVE,
    "min_early_stopping_rate": NON_NEGATIVE_INTEGER,
    "min_resource": POSITIVE_INTEGER,
    "n_min_trials": POSITIVE_INTEGER,
    "n_startup_trials": NON_NEGATIVE_INTEGER,
    "n_warmup_steps": NON_NEGATIVE_INTEGER,
    "patience": NON_NEGATIVE_INTEGER,
    "reduction_factor": Range("an integer >= 2", low=2, is_whole=True),
}
"""``tune.pruner.params``."""

_KNOWN_PACKAGES = ("gymnasium", "stable_baselines3")


def find_ranges(found: Callable[..., Any], ranges: Mapping[str, Range]) -> Mapping[str, Range]:
    """
    :param found: a class that a configuration names
    :param ranges: for classes of this kind
    :return: the same for a class of Gymnasium or SB3; none for any other, where the same name may mean something else
    """
    package = str(getattr(found, "__module__", "")).partition(".")[0]
    return ranges if package in _KNOWN_PACKAGES else {}
