"""The number of environments of an evaluation."""

from __future__ import annotations

from typing import Any

import pytest

from sb3_ext.building.training_environments import count_eval_envs
from sb3_ext.config import load_config

GAME = {"game": {"id": "connect4"}, "agent": {"id": "maskable_ppo"}, "train": {"opponent_sampler": {"type": "random"}}}
ENV = {"env": {"id": "CartPole-v1"}, "agent": {"id": "ppo"}}


@pytest.mark.parametrize(
    ("task", "episodes", "expected"),
    [(ENV, 1, 1), (ENV, 10, 10), (ENV, 16, 16), (ENV, 20, 10), (ENV, 100, 15), (GAME, 400, 400), (GAME, 1000, 500)],
)
def test_each_environment_plays_the_same_number_of_episodes_or_one_less(
    task: dict[str, Any], episodes: int, expected: int
) -> None:
    config = load_config({**task, "eval": {"episodes": episodes}})

    assert count_eval_envs(config) == expected
    assert count_eval_envs(config, 3) == 3


def test_a_configured_number_is_used() -> None:
    assert count_eval_envs(load_config({**ENV, "eval": {"num_envs": 4}}), 100) == 4
