"""Updates of off-policy algorithms by each engine are those of stock SB3."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import pytest
from gymnasium import spaces
from hypothesis import strategies as st
from parity import ENGINES, check_measuring, check_parity, compare_logs, make_filled, make_update, search_examples
from sb3_contrib import QRDQN, TQC
from stable_baselines3 import DDPG, DQN, SAC, TD3
from stable_baselines3.common.base_class import BaseAlgorithm
from torch import nn

from sb3_ext.algorithms.board_buffers import BoardReplayBuffer
from sb3_ext.algorithms.masked_dqn import MaskedDQN, MaskedQRDQN
from sb3_ext.engines.coverage import NotCovered
from sb3_ext.engines.xla.replays import choose_capacity, split_steps

VECTOR = spaces.Box(-1, 1, (4,), np.float32)
DISCRETE = spaces.Discrete(3)
CONTINUOUS = spaces.Box(-1, 1, (2,), np.float32)
BOARD = spaces.Dict({"observation": spaces.Box(-1, 1, (4,), np.float32), "action_mask": spaces.MultiBinary(3)})
REPLAY = {"steps": 40, "learning_starts": 0, "buffer_size": 60, "batch_size": 8}


def check(
    algorithm: type[BaseAlgorithm],
    *args: Any,
    gradient_steps: int = 3,
    stock_tolerance: float = 1.0,
    tolerance: float = 1.0,
    **arguments: Any,
) -> None:
    model = make_filled(algorithm, *args, **{**REPLAY, **arguments})
    check_parity(model, gradient_steps, 8, stock_tolerance=stock_tolerance, tolerance=tolerance)


def test_dqn() -> None:
    check(DQN, VECTOR, DISCRETE)


@pytest.mark.slow
def test_dqn_with_returns_of_several_steps() -> None:
    check(DQN, VECTOR, DISCRETE, n_steps=3, max_grad_norm=0.1)


def test_qrdqn_clips_where_it_is_asked_to() -> None:
    check(QRDQN, VECTOR, DISCRETE, policy_kwargs={"n_quantiles": 5}, max_grad_norm=0.1)


@pytest.mark.parametrize("algorithm", [pytest.param(MaskedDQN, marks=pytest.mark.slow), MaskedQRDQN])
def test_games_with_mirror_boards_and_reflections(algorithm: type[BaseAlgorithm]) -> None:
    check(
        algorithm,
        BOARD,
        DISCRETE,
        replay_buffer_class=BoardReplayBuffer,
        replay_buffer_kwargs={"num_mirrors": 1, "reflection": [[3, 2, 1, 0], [2, 1, 0]]},
        policy_kwargs={"n_quantiles": 5} if algorithm is MaskedQRDQN else {},
    )


@pytest.mark.parametrize("ent_coef", ["auto", pytest.param(0.1, marks=pytest.mark.slow)])
def test_sac(ent_coef: Any) -> None:
    # Stock SB3 subtracts tanh² from 1, which costs it digits where actions are near their bounds.
    check(SAC, VECTOR, CONTINUOUS, ent_coef=ent_coef, target_update_interval=2, stock_tolerance=20)


def test_tqc() -> None:
    check(TQC, VECTOR, CONTINUOUS, policy_kwargs={"n_quantiles": 5}, stock_tolerance=20)


def test_td3() -> None:
    check(TD3, VECTOR, CONTINUOUS)  # the actor learns at every other step of both updates


@pytest.mark.slow
def test_ddpg_with_dict_observations() -> None:
    observations = spaces.Dict({"a": VECTOR, "b": spaces.Discrete(3)})
    check(DDPG, observations, CONTINUOUS, gradient_steps=1)


@pytest.mark.parametrize(("algorithm", "actions"), [(QRDQN, DISCRETE), (SAC, CONTINUOUS), (TD3, CONTINUOUS)])
def test_what_is_logged_is_what_stock_logs(algorithm: type[BaseAlgorithm], actions: spaces.Space[Any]) -> None:
    arguments = {"policy_kwargs": {"n_quantiles": 5}, "max_grad_norm": 0.1} if algorithm is QRDQN else {}
    compare_logs(make_filled(algorithm, VECTOR, actions, **REPLAY, **arguments), 3, 8)


@pytest.mark.parametrize("engine_id", ENGINES)
def test_measuring_changes_neither_the_model_nor_random_numbers(engine_id: str) -> None:
    check_measuring(make_filled(TD3, VECTOR, CONTINUOUS, **REPLAY, gradient_steps=3), engine_id)


@pytest.mark.parametrize("engine_id", ENGINES)
def test_state_dependent_exploration_is_left_to_stock(engine_id: str) -> None:
    model = make_filled(SAC, VECTOR, CONTINUOUS, **REPLAY, use_sde=True)
    with pytest.raises(NotCovered, match="state-dependent"):
        make_update(model, engine_id)


def test_many_gradient_steps_are_split_and_few_numbers_of_them_have_a_program() -> None:
    model = make_filled(DQN, VECTOR, DISCRETE, **REPLAY)
    assert list(split_steps(model.replay_buffer, 600, 8)) == [256, 256, 88]
    assert list(split_steps(model.replay_buffer, 3, 10**9)) == [1, 1, 1]
    assert [choose_capacity(count) for count in (1, 2, 3, 4, 5, 88, 256)] == [1, 2, 4, 4, 8, 128, 256]


@pytest.mark.slow
def test_any_shapes_and_settings() -> None:
    search_examples(draw_example)


def draw_example(data: st.DataObject) -> Callable[[], None]:
    algorithm = data.draw(st.sampled_from([DQN, QRDQN, SAC, TD3, DDPG, TQC]))
    is_discrete = algorithm in (DQN, QRDQN)
    observations = data.draw(
        st.sampled_from([VECTOR, spaces.MultiDiscrete([2, 3]), spaces.MultiBinary(3), spaces.Dict({"a": VECTOR})])
    )
    kwargs: dict[str, Any] = {
        "net_arch": data.draw(st.lists(st.integers(1, 9), min_size=0 if is_discrete else 1, max_size=2)),
        "activation_fn": data.draw(st.sampled_from([nn.Tanh, nn.ReLU, nn.ELU, nn.GELU])),
    }
    if algorithm in (QRDQN, TQC):
        kwargs["n_quantiles"] = data.draw(st.integers(3, 6))
    if not is_discrete:
        kwargs["n_critics"] = data.draw(st.integers(1, 3))
    arguments: dict[str, Any] = {"gamma": data.draw(st.sampled_from([0.0, 0.9, 1.0])), "policy_kwargs": kwargs}
    if is_discrete:
        arguments["max_grad_norm"] = data.draw(st.sampled_from([0.05, 10.0]))
    else:
        arguments["tau"] = data.draw(st.sampled_from([0.005, 0.5, 1.0]))
    if algorithm is TD3:
        arguments["policy_delay"] = data.draw(st.integers(1, 3))
    return partial(
        check,
        algorithm,
        observations,
        DISCRETE if is_discrete else CONTINUOUS,
        gradient_steps=data.draw(st.integers(1, 4)),
        stock_tolerance=1000,
        tolerance=10,  # where Adam divides by small moments, float32 has fewer digits
        **arguments,
    )
