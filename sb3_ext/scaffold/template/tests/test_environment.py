"""Tests of the environment, and of the configuration that names it."""

from pathlib import Path

import gymnasium
import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env

import my_project  # noqa: F401 - registers the environment


@pytest.fixture
def env():
    made = gymnasium.make("MyProject-v0")
    yield made
    made.close()


def test_the_environment_follows_the_interface_of_gymnasium(env):
    check_env(env.unwrapped, skip_render_check=True)


def test_the_same_seed_gives_the_same_episode(env):
    episodes = []
    for _ in range(2):
        observation, _ = env.reset(seed=3)
        steps = [env.step(action) for action in (0, 1, 2, 2)]
        episodes.append([observation, *(step[0] for step in steps), [step[1] for step in steps]])
    for first, second in zip(*episodes, strict=True):
        np.testing.assert_array_equal(first, second)


def test_moving_towards_the_goal_reaches_it(env):
    (position, goal), _ = env.reset(seed=0)
    terminated = False
    while not terminated:
        (position, goal), reward, terminated, truncated, _ = env.step(2 if goal > position else 0)
        assert not truncated
    assert reward == 10.0
    assert abs(position - goal) < 0.3


def test_an_episode_is_truncated_after_100_steps(env):
    env.reset(seed=0)
    env.unwrapped.position, env.unwrapped.goal = 0.0, 4.0
    ends = [env.step(1)[2:4] for _ in range(100)]
    assert ends[-1] == (False, True)
    assert not any(terminated or truncated for terminated, truncated in ends[:-1])


def test_the_point_and_the_goal_are_drawn():
    with gymnasium.make("MyProject-v0", render_mode="rgb_array") as env:
        env.reset(seed=0)
        colors = {tuple(pixel) for pixel in env.render().reshape(-1, 3).tolist()}
        assert colors == {(255, 255, 255), (200, 40, 40), (40, 80, 200)}


def test_the_configuration_is_valid():
    from sb3_ext.config import load_config

    file = Path(__file__).parents[1] / "my_project.yaml"
    assert load_config(file).env.id == "my_project:MyProject-v0"
