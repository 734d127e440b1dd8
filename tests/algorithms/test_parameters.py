"""Convert plain YAML values to the constructor arguments of algorithms."""

from __future__ import annotations

import inspect
from typing import Any

import numpy as np
import pytest
import torch
from gymnasium import spaces
from stable_baselines3 import HerReplayBuffer
from stable_baselines3.common.noise import NormalActionNoise, OrnsteinUhlenbeckActionNoise
from stable_baselines3.common.torch_layers import NatureCNN
from stable_baselines3.common.utils import ConstantSchedule, LinearSchedule

from sb3_ext.algorithms.algorithm_registry import ALGORITHMS, find_algorithms_for, get_algorithm
from sb3_ext.algorithms.parameters import fill_parameters, find_parameter_problems, make_arguments
from sb3_ext.algorithms.schedules import is_linear, parse_schedule
from sb3_ext.errors import ConfigError

BOX = spaces.Box(-2, 2, (3,), np.float32)


def build(algorithm: str, **params: Any) -> dict[str, Any]:
    assert find_parameter_problems(get_algorithm(algorithm), params) == []
    return make_arguments(get_algorithm(algorithm), params, BOX)


def test_schedules_are_stock_classes() -> None:
    built = build("ppo", learning_rate="linear(3e-4)", clip_range="constant(0.2)", clip_range_vf="linear(1, 0.5)")
    assert isinstance(built["learning_rate"], LinearSchedule)
    assert [built["learning_rate"](progress) for progress in (1.0, 0.5, 0.0)] == pytest.approx([3e-4, 1.5e-4, 0.0])
    assert isinstance(built["clip_range"], ConstantSchedule)
    assert [built["clip_range_vf"](progress) for progress in (1.0, 0.0)] == [1.0, 0.5]


@pytest.mark.parametrize(
    "text", ["linear", "linear()", "linear(1,2,3)", "constant(a)", "exp(1)", "linear(inf)", "1e-x"]
)
def test_invalid_schedules_are_refused(text: str) -> None:
    with pytest.raises(ValueError, match="expected linear"):
        parse_schedule(text)


def test_only_linear_schedules_need_an_end() -> None:
    assert [is_linear(value) for value in ("linear(1)", "constant(1)", 1.0, "linear")] == [True, False, False, False]


def test_classes_and_tuples_are_converted() -> None:
    built = build(
        "sac",
        train_freq=[1, "episode"],
        replay_buffer_class="HerReplayBuffer",
        policy_kwargs={
            "activation_fn": "Tanh",
            "optimizer_class": "RMSprop",
            "features_extractor_class": "stable_baselines3.common.torch_layers:NatureCNN",
            "net_arch": [8],
        },
    )
    assert built["train_freq"] == (1, "episode")
    assert built["replay_buffer_class"] is HerReplayBuffer
    assert built["policy_kwargs"] == {
        "activation_fn": torch.nn.Tanh,
        "optimizer_class": torch.optim.RMSprop,
        "features_extractor_class": NatureCNN,
        "net_arch": [8],
    }


def test_whole_floats_are_integers_where_integers_are_expected() -> None:
    built = build("dqn", buffer_size=1e5, learning_rate=1.0)
    assert type(built["buffer_size"]) is int
    assert type(built["learning_rate"]) is float


def test_text_stays_text_where_text_is_allowed() -> None:
    assert build("sac", ent_coef="auto_0.1")["ent_coef"] == "auto_0.1"


@pytest.mark.parametrize(
    ("kind", "expected"), [("normal", NormalActionNoise), ("ornstein_uhlenbeck", OrnsteinUhlenbeckActionNoise)]
)
def test_action_noise_has_the_shape_of_the_actions(kind: str, expected: type) -> None:
    noise = build("td3", action_noise={"type": kind, "std": 0.1})["action_noise"]
    assert type(noise) is expected
    assert noise().shape == (3,)


def test_action_noise_can_be_null() -> None:
    assert "action_noise" not in build("td3", action_noise=None)


@pytest.mark.parametrize("algorithm", ALGORITHMS.values(), ids=lambda algorithm: algorithm.id)
def test_every_algorithm_loads_and_its_own_defaults_are_valid(algorithm: Any) -> None:
    assert algorithm.load_class().__name__ == algorithm.class_name
    filled = fill_parameters(algorithm, {"learning_rate": 0.5})
    assert filled["learning_rate"] == 0.5
    assert find_parameter_problems(algorithm, filled) == []
    required = inspect.signature(algorithm.load_class()).parameters.keys() - filled.keys()
    assert required == required & {"policy", "env", "device", "seed", "tensorboard_log", "verbose", "_init_setup_model"}


def test_an_unknown_algorithm_is_refused_with_the_nearest_name() -> None:
    with pytest.raises(ConfigError, match="unknown algorithm 'sacc'; did you mean 'sac'"):
        get_algorithm("sacc")


def test_algorithms_are_found_by_action_space() -> None:
    assert "sac" in find_algorithms_for("Box")
    assert "dqn" not in find_algorithms_for("Box")
    assert "maskable_ppo" not in find_algorithms_for("Discrete")
