"""Every algorithm learns on two ranks what it learns in one process from the experience of both."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from stable_baselines3.common.utils import set_random_seed

from rank_processes import run_ranks
from rank_trainings import (
    GRADIENT_STEPS,
    OFF_POLICY,
    ON_POLICY,
    ROWS,
    fill_buffer,
    learn_from_the_same_data,
    make_off_policy_model,
    update_on_this_rank,
)
from sb3_ext.ranks.shared_parameters import list_parameters
from sb3_ext.vec.global_random import get_global_random_state, set_global_random_state


class BothRanks:
    """Draws in one process what two ranks draw, each with its own random numbers."""

    def __init__(self) -> None:
        self.states = []
        for rank in range(2):
            set_random_seed(100 + rank)
            self.states.append(get_global_random_state())

    def draw(self, rank: int, function: Any, *arguments: Any) -> Any:
        set_global_random_state(self.states[rank])
        drawn = function(*arguments)
        self.states[rank] = get_global_random_state()
        return drawn

    def sample(self, buffers: list[Any], batch_size: int) -> Any:
        parts = [self.draw(rank, buffer.sample, batch_size // 2) for rank, buffer in enumerate(buffers)]
        return type(parts[0])(
            *(None if column[0] is None else torch.cat(column) for column in zip(*parts, strict=True))
        )

    def act(self, action_log_prob: Any, observations: Any) -> Any:
        parts = [self.draw(rank, action_log_prob, half) for rank, half in enumerate(observations.chunk(2))]
        return tuple(torch.cat(column) for column in zip(*parts, strict=True))


@pytest.mark.parametrize("engine_id", [pytest.param("stock", marks=pytest.mark.slow), "torch"])
@pytest.mark.parametrize("algorithm", OFF_POLICY)
def test_two_replay_buffers_teach_what_one_with_both_teaches(algorithm: str, engine_id: str) -> None:
    first, second = run_ranks(update_on_this_rank, algorithm, engine_id)
    whole, both = make_off_policy_model(algorithm), BothRanks()
    buffers = [fill_buffer(make_off_policy_model(algorithm), rank) for rank in range(2)]
    both = BothRanks()
    whole.replay_buffer.sample = lambda batch_size, env=None: both.sample(buffers, batch_size)
    if algorithm == "sac":
        action_log_prob = whole.actor.action_log_prob
        whole.actor.action_log_prob = lambda observations: both.act(action_log_prob, observations)
    whole.train(gradient_steps=GRADIENT_STEPS, batch_size=2 * ROWS)
    for found, other, expected in zip(first, second, list_parameters(whole), strict=True):
        np.testing.assert_array_equal(found, other)
        np.testing.assert_allclose(found, expected.numpy(), atol=1e-5)


@pytest.mark.parametrize(
    "algorithm",
    [
        pytest.param(algorithm, marks=[pytest.mark.slow] if algorithm == "recurrent_ppo" else [])
        for algorithm in ON_POLICY
    ],
)
def test_ranks_with_the_same_data_learn_what_one_of_them_learns_alone(algorithm: str) -> None:
    first, second = run_ranks(learn_from_the_same_data, algorithm)
    [alone] = run_ranks(learn_from_the_same_data, algorithm, size=1)
    for found, other, expected in zip(first, second, alone, strict=True):
        np.testing.assert_array_equal(found, other)
        np.testing.assert_allclose(found, expected, atol=1e-5)
