"""One game as a Gymnasium environment."""

from __future__ import annotations

import subprocess
import sys

import gymnasium
import numpy as np
import pytest
import sb3_ext_envs  # noqa: F401 - registers its environments
from gymnasium.utils.env_checker import check_env
from sb3_ext_envs.procgen import ProcgenEnv
from sb3_ext_envs.procgen_games import GAMES
from sb3_ext_envs.procgen_library import HAS_NEW_PACKAGE
from stable_baselines3.common.env_checker import check_env as check_env_for_sb3

from sb3_ext.vec.environment_factory import EnvironmentFactory
from sb3_ext.vec.snapshots.exactness import self_test

pytestmark = pytest.mark.procgen


@pytest.mark.parametrize("game", GAMES)
def test_every_game_passes_the_checks_and_its_snapshots_are_exact(game: str) -> None:
    env = gymnasium.make(f"procgen-{game}-v0", distribution_mode="easy")
    check_env_for_sb3(env)
    check_env(env.unwrapped, skip_render_check=True)
    env.close()

    found = self_test(EnvironmentFactory(f"procgen-{game}-v0", {"distribution_mode": "easy"}))

    assert found.exact, found.reason


def play(env: gymnasium.Env, seed: int, steps: int = 300) -> tuple[list[int], list[float]]:
    levels, rewards = [env.reset(seed=seed)[1]["level_seed"]], []
    actions = np.random.default_rng(0)
    for _ in range(steps):
        _, reward, is_over, _, info = env.step(actions.integers(15))
        rewards.append(reward)
        if is_over:
            levels.append(env.reset()[1]["level_seed"])
            assert info["level_seed"] == levels[-1]
    return levels, rewards


def test_a_seed_determines_all_levels_and_another_gives_others() -> None:
    env = ProcgenEnv("dodgeball", "easy")
    first, again, other = play(env, 3), play(env, 3), play(env, 4)
    env.close()

    assert len(first[0]) > 2
    assert first == again
    assert first[0] != other[0]


def test_levels_are_those_of_the_parameters() -> None:
    env = ProcgenEnv("dodgeball", "easy", num_levels=3, start_level=100)
    levels = play(env, 3, 600)[0]
    env.close()

    assert set(levels) <= {100, 101, 102}
    assert len(set(levels)) > 1


def test_a_reset_in_the_middle_of_an_episode_begins_another() -> None:
    env = ProcgenEnv("coinrun", "easy")
    _, before = env.reset(seed=1)
    env.step(7)
    _, after = env.reset()
    _, again = env.reset()
    env.close()

    assert before != after
    assert after == again  # the episode had only just begun


def test_the_last_step_shows_the_picture_before_it_and_says_how_the_level_ended() -> None:
    env = ProcgenEnv("coinrun", "easy", num_levels=1, render_mode="rgb_array")
    before, frame = env.reset(seed=1)[0], env.render()
    assert frame is not None
    assert frame.shape == (512, 512, 3)
    is_over = False
    while not is_over:
        observation, reward, is_over, is_truncated, info = env.step(7)  # to the right, over whatever is there
        if not is_over:
            before, frame = observation, env.render()

    assert np.array_equal(observation, before)
    assert np.array_equal(env.render(), frame)
    assert info["is_success"] == (reward > 0) == bool(info["prev_level_complete"])
    assert not is_truncated
    next_observation, _ = env.reset()
    assert not np.array_equal(next_observation, before)
    assert not np.array_equal(env.render(), frame)
    env.close()


@pytest.mark.skipif(HAS_NEW_PACKAGE, reason="procgen-gym does not bring the old gym")
def test_the_banner_of_the_old_gym_is_not_printed_and_gym_works() -> None:
    code = """
import sb3_ext_envs
from sb3_ext_envs.procgen import ProcgenEnv
ProcgenEnv("coinrun").close()
import stable_baselines3
import gym
assert gym.spec("procgen-coinrun-v0").entry_point == "procgen.gym_registration:make_env"
"""
    found = subprocess.run([sys.executable, "-W", "error", "-c", code], capture_output=True, text=True, check=False)

    assert (found.returncode, found.stdout, found.stderr) == (0, "", "")
