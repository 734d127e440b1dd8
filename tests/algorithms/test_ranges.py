"""Every number that an algorithm takes has a range, and values outside of it are refused."""

from __future__ import annotations

import inspect
import typing
from collections.abc import Callable, Collection, Iterator, Mapping
from math import inf, nan
from typing import Any

import pytest
import torch
from stable_baselines3 import HerReplayBuffer
from stable_baselines3.common import buffers, torch_layers
from stable_baselines3.common.sb2_compat.rmsprop_tf_like import RMSpropTFLike

from sb3_ext.algorithms import board_networks, impala
from sb3_ext.algorithms.algorithm_registry import ALGORITHMS, MASKED_ALGORITHMS, get_algorithm
from sb3_ext.algorithms.parameter_ranges import (
    ALGORITHM_RANGES,
    BUFFER_RANGES,
    FEATURES_EXTRACTOR_RANGES,
    OPTIMIZER_RANGES,
    POLICY_RANGES,
)
from sb3_ext.algorithms.parameters import OWNED_PARAMETERS, find_parameter_problems
from sb3_ext.arguments import read_parameters
from sb3_ext.ranges import Range

ALL = [*ALGORITHMS.values(), *MASKED_ALGORITHMS.values()]
POLICIES = [policy for algorithm in ALL for policy in algorithm.load_class().policy_aliases.values()]
EXTRACTORS = [
    found
    for module in (torch_layers, impala, board_networks)
    for found in vars(module).values()
    if inspect.isclass(found) and issubclass(found, torch_layers.BaseFeaturesExtractor)
]
OPTIMIZERS = [found for found in vars(torch.optim).values() if inspect.isclass(found)]
BUFFERS = [buffers.ReplayBuffer, buffers.DictReplayBuffer, buffers.NStepReplayBuffer, HerReplayBuffer]


def holds_numbers(annotation: Any) -> bool:
    if annotation in (int, float):
        return True
    return any(holds_numbers(part) for part in typing.get_args(annotation)) and typing.get_origin(annotation) not in (
        Callable,
        type,
    )


def find_numeric(functions: Collection[Callable[..., Any]], owned: Collection[str] = ()) -> set[str]:
    return {
        name
        for function in functions
        for name, parameter in read_parameters(function).items()
        if name not in owned and holds_numbers(parameter.annotation)
    }


@pytest.mark.parametrize(
    ("functions", "owned", "ranges"),
    [
        ([algorithm.load_class() for algorithm in ALL], OWNED_PARAMETERS, ALGORITHM_RANGES),
        (POLICIES, (), POLICY_RANGES),
        (EXTRACTORS, (), FEATURES_EXTRACTOR_RANGES),
        ([*OPTIMIZERS, RMSpropTFLike], ("params", "lr"), OPTIMIZER_RANGES),
        (BUFFERS, ("buffer_size", "n_envs"), BUFFER_RANGES),
    ],
    ids=["algorithms", "policies", "extractors", "optimizers", "buffers"],
)
def test_every_number_has_a_range_and_every_range_a_number(
    functions: Collection[Callable[..., Any]], owned: Collection[str], ranges: Mapping[str, Range]
) -> None:
    assert find_numeric(functions, owned) == ranges.keys()


@pytest.mark.parametrize("algorithm", ALL, ids=lambda algorithm: algorithm.id)
def test_nan_and_values_just_outside_the_range_are_refused(algorithm: Any) -> None:
    parameters = read_parameters(algorithm.load_class())
    for name in parameters.keys() & ALGORITHM_RANGES.keys():
        for wrong in find_outside(ALGORITHM_RANGES[name]):
            problems = find_parameter_problems(algorithm, {name: wrong})
            assert [problem.key for problem in problems] == [(name,)], (name, wrong, problems)


def find_outside(allowed: Range) -> Iterator[float]:
    yield nan
    yield -inf
    if allowed.is_whole:
        yield 1.5
    if allowed.high < inf:
        yield inf
        yield 10 * allowed.high if allowed.is_whole else allowed.high * 1.5
    if allowed.excludes_low:
        yield allowed.low
    if allowed.excludes_high:
        yield allowed.high
    if allowed.is_whole:
        yield -2


@pytest.mark.parametrize(
    ("algorithm", "params", "message"),
    [
        ("ppo", {"gamma": 7}, "gamma: expected a number from 0 to 1, found 7"),
        ("ppo", {"gamma": nan}, "gamma: expected a number from 0 to 1, found nan"),
        ("ppo", {"ent_coef": nan}, "ent_coef: expected a number >= 0, found nan"),
        ("ppo", {"learning_rate": inf}, "learning_rate: expected a number >= 0, found inf"),
        ("ppo", {"learning_rate": -1}, "learning_rate: expected a number >= 0, found -1"),
        ("ppo", {"learning_rate": 1e39}, "learning_rate: expected a number >= 0, at most 3.4e+38, found 1e+39"),
        ("ppo", {"learning_rate": "linear(-1)"}, "learning_rate: expected a number >= 0, found -1.0 in 'linear(-1)'"),
        ("ppo", {"clip_range": "linear(0.2, -0.1)"}, "clip_range: expected a positive number, found -0.1 in"),
        ("ppo", {"n_steps": 0}, "n_steps: expected a positive integer, found 0"),
        ("ppo", {"n_steps": 2**63}, "n_steps: expected a positive integer, at most 9.2e+18, found 9223372036854775808"),
        ("ppo", {"n_steps": 1}, "n_steps: expected at least 2 with one environment"),
        ("a2c", {"n_steps": 1, "normalize_advantage": True}, "n_steps: expected at least 2 with one environment"),
        ("trpo", {"n_steps": 1}, "n_steps: expected at least 2 with one environment"),
        ("ppo", {"batch_size": 1}, "batch_size: expected at least 2: a single advantage cannot be normalized"),
        ("maskable_ppo", {"n_steps": 65}, "batch_size: 64 leaves 1 of the 65 transitions of a rollout"),
        ("recurrent_ppo", {"n_steps": 9, "batch_size": 4}, "batch_size: 4 leaves 1 of the 9 transitions"),
        ("ppo", {"sde_sample_freq": 0}, "sde_sample_freq: expected a positive integer, or -1, found 0"),
        ("dqn", {"gradient_steps": 0}, "gradient_steps: expected a positive integer, or -1, found 0"),
        ("dqn", {"exploration_fraction": 0}, "exploration_fraction: expected a number above 0 and at most 1, found 0"),
        ("dqn", {"train_freq": 0}, "train_freq: expected a positive integer, found 0"),
        ("dqn", {"train_freq": [0, "step"]}, "train_freq.0: expected a positive integer, found 0"),
        ("dqn", {"train_freq": [1, "steps"]}, "train_freq.1: expected step or episode, found 'steps'"),
        ("dqn", {"train_freq": [1]}, "train_freq: expected an integer or a list, found a list"),
        ("dqn", {"optimize_memory_usage": True}, "set replay_buffer_kwargs: {handle_timeout_termination: false}"),
        ("sac", {"ent_coef": "atuo"}, "ent_coef: expected auto, auto_<first value> such as auto_0.1, or a number >= 0"),
        ("sac", {"ent_coef": "auto_0"}, "ent_coef: expected auto, auto_<first value>"),
        ("sac", {"target_entropy": "nan"}, "target_entropy: expected auto or a number, found 'nan'"),
        (
            "td3",
            {"action_noise": {"type": "normal", "std": nan}},
            "action_noise.std: expected a number >= 0, found nan",
        ),
        ("td3", {"action_noise": {"type": "normal", "std": 1, "mean": inf}}, "mean: expected a finite number, found"),
        ("tqc", {"top_quantiles_to_drop_per_net": 25}, "expected less than the number of quantiles (policy_kwargs.n_q"),
        ("ars", {"n_top": 9}, "n_top: expected at most n_delta, 8, found 9"),
        ("ppo", {"policy_kwargs": {"net_arch": [64, 0]}}, "policy_kwargs.net_arch.1: expected a positive integer"),
        (
            "ppo",
            {"policy_kwargs": {"net_arch": {"pi": [-1]}}},
            "policy_kwargs.net_arch.pi.0: expected a positive integ",
        ),
        ("ppo", {"policy_kwargs": {"net_arch": 64}}, "policy_kwargs.net_arch: expected a list"),
        ("ppo", {"policy_kwargs": {"net_arch": [64, "x"]}}, "policy_kwargs.net_arch.1: expected an integer, found 'x'"),
        ("ppo", {"policy_kwargs": {"net_arch": {"pi": [[8]]}}}, "policy_kwargs.net_arch.pi.0: expected an integer"),
        ("ppo", {"policy_kwargs": {"net_arc": [64]}}, "policy_kwargs.net_arc: unknown parameter; did you mean 'net_ar"),
        ("ppo", {"policy_kwargs": {"log_std_init": nan}}, "policy_kwargs.log_std_init: expected a finite number"),
        (
            "ppo",
            {"policy_kwargs": {"use_sde": True}},
            "policy_kwargs.use_sde: cannot be set here; use agent.params.use",
        ),
        (
            "ppo",
            {
                "policy_kwargs": {
                    "features_extractor_class": "NatureCNN",
                    "features_extractor_kwargs": {"features_dim": 0},
                }
            },
            "policy_kwargs.features_extractor_kwargs.features_dim: expected a positive integer, found 0",
        ),
        (
            "ppo",
            {"policy_kwargs": {"optimizer_kwargs": {"betas": [0.9, 1.0]}}},
            "policy_kwargs.optimizer_kwargs.betas.1: expected a number from 0 to below 1, found 1.0",
        ),
        (
            "ppo",
            {"policy_kwargs": {"optimizer_kwargs": {"lr": 1}}},
            "policy_kwargs.optimizer_kwargs.lr: cannot be set here; use agent.params.learning_rate",
        ),
        ("recurrent_ppo", {"policy_kwargs": {"lstm_hidden_size": 0}}, "policy_kwargs.lstm_hidden_size: expected a pos"),
        (
            "recurrent_ppo",
            {"policy_kwargs": {"lstm_kwargs": {"dropout": 2}}},
            "policy_kwargs.lstm_kwargs.dropout: expected a number from 0 to 1, found 2",
        ),
        (
            "sac",
            {"replay_buffer_class": "HerReplayBuffer", "replay_buffer_kwargs": {"n_sampled_goal": -1}},
            "replay_buffer_kwargs.n_sampled_goal: expected an integer >= 0, found -1",
        ),
        (
            "ppo",
            {"rollout_buffer_kwargs": {"gamma": 2}},
            "rollout_buffer_kwargs.gamma: cannot be set here; use agent.pa",
        ),
    ],
    ids=lambda value: str(value)[:40],
)
def test_each_number_out_of_its_range_has_one_line(algorithm: str, params: dict[str, Any], message: str) -> None:
    [problem] = find_parameter_problems(get_algorithm(algorithm), params, num_envs=1)
    assert message in f"{'.'.join(map(str, problem.key))}: {problem.message}"


@pytest.mark.parametrize(
    ("algorithm", "params"),
    [
        ("ppo", {"max_grad_norm": inf, "gamma": 0, "gae_lambda": 1, "ent_coef": 0, "learning_rate": 0}),
        ("ppo", {"n_steps": 1, "batch_size": 1, "normalize_advantage": False}),
        ("ppo", {"clip_range": "linear(0.2)", "learning_rate": "linear(0, 1e-3)", "target_kl": None}),
        ("ppo", {"policy_kwargs": {"net_arch": [], "activation_fn": "torch.nn:Tanh", "optimizer_kwargs": {"eps": 0}}}),
        ("a2c", {"n_steps": 1}),
        ("maskable_ppo", {"batch_size": 4, "n_steps": 10}),
        ("dqn", {"train_freq": [1, "episode"], "gradient_steps": -1, "tau": 1.0, "learning_starts": 0}),
        ("dqn", {"optimize_memory_usage": True, "replay_buffer_kwargs": {"handle_timeout_termination": False}}),
        ("sac", {"ent_coef": "auto_0.5", "target_entropy": -2}),
        ("qrdqn", {"policy_kwargs": {"n_quantiles": 1}, "max_grad_norm": None}),
        ("ars", {"policy_kwargs": {"net_arch": [4]}, "n_top": 8}),
        ("ppo", {"policy_kwargs": {"features_extractor_kwargs": {"features_dim": 8}}}),  # of pictures
    ],
    ids=str,
)
def test_unusual_but_valid_values_are_accepted(algorithm: str, params: dict[str, Any]) -> None:
    assert find_parameter_problems(get_algorithm(algorithm), params, num_envs=1) == []


def test_a_train_freq_in_episodes_needs_a_single_environment() -> None:
    params = {"train_freq": [1, "episode"]}
    [problem] = find_parameter_problems(get_algorithm("sac"), params, num_envs=2)
    assert "episodes can be counted in one environment only, and there are 2 (parallel.num_envs)" in problem.message
