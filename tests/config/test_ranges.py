"""Ranges of the numbers in arguments of wrappers, stock callbacks, normalisation, samplers and pruners."""

from __future__ import annotations

import inspect
import typing
from collections.abc import Callable, Collection, Mapping
from math import inf, nan
from typing import Any

import gymnasium
import numpy as np
import pytest
from optuna import pruners, samplers
from packaging.version import Version
from stable_baselines3.common import atari_wrappers
from stable_baselines3.common import callbacks as stock_callbacks
from stable_baselines3.common.callbacks import BaseCallback
from stable_baselines3.common.vec_env import VecNormalize

from sb3_ext.arguments import read_parameters
from sb3_ext.config import load_config
from sb3_ext.config.argument_ranges import (
    CALLBACK_RANGES,
    NORMALIZE_RANGES,
    PRUNER_RANGES,
    SAMPLER_RANGES,
    WRAPPER_RANGES,
)
from sb3_ext.errors import ConfigError
from sb3_ext.ranges import Range

MINIMAL: dict[str, Any] = {"env": {"id": "CartPole-v1"}, "agent": {"id": "ppo"}}


_OF_EXTRAS = ("ArrayConversion", "JaxToNumpy", "JaxToTorch", "NumpyToTorch")  # need JAX and the like, take no numbers


OF_LATER_WRAPPERS = (
    {"bins", "num_repeats", "obstructed_pixels_ratio", "obstruction_width", "probability_of_noise_per_pixel"}
    if Version(gymnasium.__version__) < Version("1.3")
    else set()
)
"""Arguments of wrappers that the installed Gymnasium does not have yet."""


def find_classes(module: Any, base: type) -> list[Callable[..., Any]]:
    found = [getattr(module, name, None) for name in getattr(module, "__all__", dir(module)) if name not in _OF_EXTRAS]
    return [item for item in found if inspect.isclass(item) and issubclass(item, base)]


WRAPPERS = [*find_classes(gymnasium.wrappers, gymnasium.Wrapper), *find_classes(atari_wrappers, gymnasium.Wrapper)]
CALLBACKS = find_classes(stock_callbacks, BaseCallback)
SAMPLERS = [samplers.TPESampler, samplers.CmaEsSampler, samplers.RandomSampler, samplers.GPSampler]
PRUNERS = [pruners.MedianPruner, pruners.SuccessiveHalvingPruner, pruners.HyperbandPruner, pruners.PatientPruner]


def holds_numbers(annotation: Any) -> bool:
    if typing.get_origin(annotation) in (Callable, type):
        return False
    is_number = annotation in (int, float, np.floating, np.integer)
    return is_number or any(map(holds_numbers, typing.get_args(annotation)))


@pytest.mark.parametrize(
    ("functions", "ranges", "without"),
    [
        (WRAPPERS, WRAPPER_RANGES, {"filter_keys"}),  # keys, perhaps positions
        (CALLBACKS, CALLBACK_RANGES, set()),
        ([VecNormalize], NORMALIZE_RANGES, set()),
        ([*SAMPLERS, samplers.NSGAIISampler], SAMPLER_RANGES, set()),
        (PRUNERS, PRUNER_RANGES, set()),
    ],
    ids=["wrappers", "callbacks", "normalize", "samplers", "pruners"],
)
def test_every_number_has_a_range(
    functions: Collection[Callable[..., Any]], ranges: Mapping[str, Range], without: set[str]
) -> None:
    numeric = {
        name
        for function in functions
        for name, parameter in read_parameters(function).items()
        if holds_numbers(parameter.annotation)
    }
    assert numeric - without - ranges.keys() == set()
    known = {name for function in functions for name in read_parameters(function)}
    assert ranges.keys() - known <= OF_LATER_WRAPPERS


def make_wrapper(name: str, **arguments: Any) -> dict[str, Any]:
    return {"env": {"id": "CartPole-v1", "wrappers": [{name: arguments}]}}


def make_callback(name: str, **params: Any) -> dict[str, Any]:
    return {"train": {"callbacks": [{"type": name, "params": params}]}}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"env": {"id": "CartPole-v1", "normalize": {"gamma": 2}}},
            "env.normalize.gamma: expected a number from 0 to 1",
        ),
        (
            {"env": {"id": "CartPole-v1", "normalize": {"clip_obs": nan}}},
            "clip_obs: expected a positive number or .inf",
        ),
        ({"env": {"id": "CartPole-v1", "max_steps": 1e30}}, "env.max_steps: expected a positive integer, found 1e+30"),
        (
            make_wrapper("gymnasium.wrappers.TimeLimit", max_episode_steps=0),
            "env.wrappers.0.max_episode_steps: expected a positive integer, found 0",
        ),
        (
            make_wrapper("gymnasium.wrappers.StickyAction", repeat_action_probability=1.5),
            "env.wrappers.0.repeat_action_probability: expected a number from 0 to 1, found 1.5",
        ),
        (
            make_wrapper("stable_baselines3.common.atari_wrappers.MaxAndSkipEnv", skip=0),
            "env.wrappers.0.skip: expected a positive integer, found 0",
        ),
        (
            make_callback("epsilon_decay", decay=nan),
            "train.callbacks.0.params.decay: expected a number above 0 and at most 1, found nan",
        ),
        (
            make_callback("lr_decay", interval_steps=0),
            "train.callbacks.0.params.interval_steps: expected a positive integer, found 0",
        ),
        (
            make_callback("stable_baselines3.common.callbacks:StopTrainingOnMaxEpisodes", max_episodes=0),
            "train.callbacks.0.params.max_episodes: expected a positive integer, found 0",
        ),
        (
            {"tune": {"sampler": {"type": "tpe", "params": {"n_startup_trials": 2.5}}}},
            "tune.sampler.params.n_startup_trials: expected an integer >= 0, found 2.5",
        ),
        (
            {"tune": {"pruner": {"type": "asha", "params": {"reduction_factor": 1}}}},
            "tune.pruner.params.reduction_factor: expected an integer >= 2, found 1",
        ),
        (
            {"tune": {"space": {"agent.params.gamma": {"type": "float", "low": 0.9, "high": 1.1}}}},
            "tune.space.agent.params.gamma: expected a number from 0 to 1, found 1.1 (for 1.1)",
        ),
        ({"agent": {"id": "ppo", "threads": 10**6}}, "agent.threads: expected 'auto' or a positive number of threads"),
        ({"train": {"duration": "9" * 400 + "h"}}, "train.duration: expected a duration"),
        ({"parallel": {"num_envs": 0}}, "parallel.num_envs: expected a positive integer, found 0"),
    ],
    ids=lambda value: str(value)[:50],
)
def test_each_number_out_of_its_range_has_one_line(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        load_config({**MINIMAL, **changes})
    assert len(caught.value.problems) == 1
    assert message in caught.value.problems[0]


@pytest.mark.parametrize(
    "changes",
    [
        {"env": {"id": "CartPole-v1", "normalize": {"clip_obs": inf, "clip_reward": inf, "gamma": 0}}},
        make_wrapper("gymnasium.wrappers.ClipReward", min_reward=-inf, max_reward=1),
        make_wrapper("gymnasium.wrappers.StickyAction", repeat_action_probability=0.5, repeat_action_duration=[1, 3]),
        make_callback("epsilon_decay", decay=1, min=0),
    ],
    ids=str,
)
def test_unusual_but_valid_values_are_accepted(changes: dict[str, Any]) -> None:
    load_config({**MINIMAL, **changes})


def test_parameters_of_unknown_classes_have_no_range() -> None:
    load_config({**MINIMAL, "env": {"id": "CartPole-v1", "wrappers": [{f"{__name__}:Elastic": {"stack_size": -1}}]}})


class Elastic(gymnasium.Wrapper[Any, Any, Any, Any]):
    def __init__(self, env: gymnasium.Env[Any, Any], stack_size: int) -> None:
        super().__init__(env)
        self.stack_size = stack_size
