"""Updates of PPO, MaskablePPO and A2C by each engine are those of stock SB3."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import pytest
from gymnasium import spaces
from hypothesis import strategies as st
from parity import (
    ENGINES,
    TOLERANCE,
    check_measuring,
    check_parity,
    compare,
    compare_logs,
    make_filled,
    search_examples,
    update_all,
)
from sb3_contrib import MaskablePPO
from stable_baselines3 import A2C, PPO
from stable_baselines3.common.base_class import BaseAlgorithm
from torch import nn

from sb3_ext.algorithms.board_buffers import BoardRolloutBuffer
from sb3_ext.algorithms.board_networks import BoardCNN
from sb3_ext.engines.torch_updates import policy_network

VECTOR = spaces.Box(-1, 1, (4,), np.float32)
PLANES = spaces.Box(0, 1, (2, 4, 3), np.float32)
IMAGE = spaces.Box(0, 255, (1, 36, 36), np.uint8)
CONTINUOUS = spaces.Box(-1, 1, (2,), np.float32)
PPO_KEYS = {"steps": 32, "n_steps": 16, "batch_size": 16, "n_epochs": 2}


def check(
    algorithm: type[BaseAlgorithm],
    *args: Any,
    tolerance: float = 1.0,
    stock_tolerance: float = 1.0,
    **arguments: Any,
) -> None:
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "You have specified a mini-batch size")  # the last one is shorter
        model = make_filled(algorithm, *args, **arguments)
    check_parity(model, stock_tolerance=stock_tolerance, tolerance=tolerance)


def test_ppo_with_discrete_actions_and_a_short_last_minibatch() -> None:
    check(PPO, VECTOR, spaces.Discrete(3), **{**PPO_KEYS, "batch_size": 12}, ent_coef=0.01)


def test_ppo_with_continuous_actions_value_clipping_and_schedules() -> None:
    schedules = {"learning_rate": lambda left: 1e-3 * left, "clip_range": lambda left: 0.2 * left}
    check(PPO, VECTOR, CONTINUOUS, **PPO_KEYS, ent_coef=0.01, clip_range_vf=0.1, **schedules)


@pytest.mark.parametrize("target_kl", [1e-6, 3e-4])
def test_ppo_stops_early_where_stock_does_and_leaves_the_same_random_state(target_kl: float) -> None:
    model = make_filled(
        PPO, spaces.MultiDiscrete([3, 2]), spaces.MultiDiscrete([3, 2]), **PPO_KEYS, target_kl=target_kl
    )
    stock, reference, found = update_all(model)
    assert stock["updates"] < 4  # of two updates of two epochs
    for engine_id, state in found.items():
        np.testing.assert_array_equal(state["random/numpy"], stock["random/numpy"])
        assert compare(state, reference) < TOLERANCE, engine_id


def test_ppo_with_a_minibatch_of_one_row_and_networks_of_their_own() -> None:
    arch = {"net_arch": {"pi": [4, 3], "vf": []}, "activation_fn": nn.ELU, "share_features_extractor": False}
    observations = spaces.Dict({"a": spaces.Discrete(3), "b": VECTOR})
    check(PPO, observations, spaces.MultiBinary(3), **{**PPO_KEYS, "batch_size": 31, "n_epochs": 1}, policy_kwargs=arch)


def test_maskable_ppo_with_discrete_actions() -> None:
    check(MaskablePPO, VECTOR, spaces.Discrete(4), **PPO_KEYS, ent_coef=0.05)


@pytest.mark.parametrize("rms_prop", [True, pytest.param(False, marks=pytest.mark.slow)])
def test_a2c(rms_prop: bool) -> None:
    check(A2C, spaces.MultiBinary(4), CONTINUOUS, steps=10, n_steps=5, use_rms_prop=rms_prop)


def test_the_mirrored_rows_of_a_board_buffer_are_those_that_stock_draws() -> None:
    cells = np.arange(24).reshape(2, 4, 3)[:, :, ::-1].ravel().tolist()
    check(
        PPO,
        PLANES,
        spaces.Discrete(3),
        **PPO_KEYS,
        rollout_buffer_class=BoardRolloutBuffer,
        rollout_buffer_kwargs={"num_mirrors": 1, "reflection": [cells, [2, 1, 0]]},
        policy_kwargs={"features_extractor_class": BoardCNN, "features_extractor_kwargs": {"channels": [3]}},
    )


@pytest.mark.parametrize("target_kl", [None, 1e-6])
def test_torch_computes_minibatches_of_images_in_parts(
    target_kl: float | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(policy_network, "_PART_BYTES", 4 * 36 * 36 * 16)  # 16 images
    model = make_filled(PPO, IMAGE, CONTINUOUS, steps=40, n_steps=20, batch_size=40, n_epochs=2, target_kl=target_kl)
    assert policy_network.choose_part_size(model.policy) == 16
    check_parity(model, stock_tolerance=10, engines=["torch"])


def test_ppo_with_the_large_network_for_images_of_three_channels() -> None:
    images = spaces.Box(0, 255, (3, 64, 64), np.uint8)
    model = make_filled(PPO, images, spaces.Discrete(4), steps=16, n_steps=8, batch_size=8, n_epochs=1, ent_coef=0.01)
    check_parity(model, engines=["torch"])


@pytest.mark.parametrize("algorithm", [PPO, A2C])
def test_what_is_logged_is_what_stock_logs(algorithm: type[BaseAlgorithm]) -> None:
    arguments = {**PPO_KEYS, "clip_range_vf": 0.2} if algorithm is PPO else {"steps": 16, "n_steps": 8}
    compare_logs(make_filled(algorithm, VECTOR, CONTINUOUS, **arguments))


@pytest.mark.parametrize("engine_id", ENGINES)
def test_an_update_leaves_the_same_bits_each_time(engine_id: str) -> None:
    model = make_filled(PPO, VECTOR, spaces.Discrete(3), **PPO_KEYS)
    first, second = (update_all(model, engines=[engine_id])[2][engine_id] for _repeat in range(2))
    for name, values in first.items():
        np.testing.assert_array_equal(second[name], values)


@pytest.mark.parametrize("engine_id", ENGINES)
def test_measuring_changes_neither_the_model_nor_random_numbers(engine_id: str) -> None:
    check_measuring(make_filled(PPO, VECTOR, spaces.Discrete(3), **PPO_KEYS), engine_id)


@pytest.mark.slow
def test_any_shapes_and_settings() -> None:
    search_examples(draw_example)


def draw_example(data: st.DataObject) -> Callable[[], None]:
    observations = data.draw(
        st.sampled_from(
            [VECTOR, spaces.Discrete(5), spaces.MultiDiscrete([2, 3]), spaces.MultiBinary(3), IMAGE, PLANES]
        )
    )
    actions = data.draw(
        st.sampled_from([CONTINUOUS, spaces.Discrete(3), spaces.MultiDiscrete([2, 3]), spaces.MultiBinary(2)])
    )
    algorithm = data.draw(st.sampled_from([PPO, A2C, *([] if actions is CONTINUOUS else [MaskablePPO])]))
    sizes = st.lists(st.integers(1, 9), max_size=2)
    kwargs: dict[str, Any] = {
        "net_arch": data.draw(st.one_of(sizes, st.fixed_dictionaries({"pi": sizes, "vf": sizes}))),
        "activation_fn": data.draw(st.sampled_from([nn.Tanh, nn.ReLU, nn.ELU, nn.GELU, nn.SiLU, nn.LeakyReLU])),
        "share_features_extractor": data.draw(st.booleans()),
    }
    if observations is PLANES:
        kwargs["features_extractor_class"] = BoardCNN
    arguments: dict[str, Any] = {
        "ent_coef": data.draw(st.sampled_from([0.0, 0.02])),
        "max_grad_norm": data.draw(st.sampled_from([0.05, 0.5, 100.0])),
    }
    if algorithm is A2C:
        arguments |= {"n_steps": 8, "normalize_advantage": data.draw(st.booleans())}
    else:
        arguments |= {
            "n_steps": 8,
            "n_epochs": data.draw(st.integers(1, 3)),
            "batch_size": data.draw(st.integers(2, 16).filter(lambda size: 16 % size != 1)),
            "target_kl": data.draw(st.sampled_from([None, 1e-4, 1e-2])),
            "clip_range_vf": data.draw(st.sampled_from([None, 0.1])),
        }
    # Where Adam divides by small moments, and where the terms of a gradient nearly cancel, float32 has fewer digits.
    digits = {"tolerance": 10, "stock_tolerance": 100}
    return partial(check, algorithm, observations, actions, steps=16, policy_kwargs=kwargs, **digits, **arguments)
