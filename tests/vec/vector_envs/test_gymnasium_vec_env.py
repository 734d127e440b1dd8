"""Gymnasium's vector environments as a ``VecEnv``."""

from __future__ import annotations

import copy
from functools import partial
from typing import Any

import gymnasium
import numpy as np
import pytest
from gymnasium.vector import AsyncVectorEnv, AutoresetMode, SyncVectorEnv
from gymnasium.wrappers.vector import ClipReward
from stable_baselines3.common.vec_env import DummyVecEnv, VecMonitor

from counting_vector_env import CountingVectorEnv
from sb3_ext.vec import GymnasiumVecEnv
from sb3_ext.vec.snapshots.exactness import self_test

CARTPOLES = [partial(gymnasium.make, "CartPole-v1", max_episode_steps=14)] * 3


def make_sync(mode: AutoresetMode) -> GymnasiumVecEnv:
    return GymnasiumVecEnv(SyncVectorEnv(CARTPOLES, autoreset_mode=mode))


def walk(env: Any, steps: int = 60) -> list[Any]:
    generator = np.random.default_rng(0)
    env.seed(5)
    found = [env.reset().tolist()]
    for _ in range(steps):
        observations, rewards, dones, infos = env.step(generator.integers(2, size=env.num_envs))
        for info in infos:
            if "terminal_observation" in info:
                info["terminal_observation"] = np.asarray(info["terminal_observation"]).tolist()
        found.append((observations.tolist(), rewards.tolist(), dones.tolist(), infos))
    env.close()
    return found


@pytest.mark.parametrize("mode", [AutoresetMode.SAME_STEP, AutoresetMode.DISABLED])
def test_a_sync_vector_env_gives_the_same_steps_as_sb3(mode: AutoresetMode) -> None:
    found = walk(make_sync(mode))
    assert found == walk(DummyVecEnv(list(CARTPOLES)))
    truncated = [info for step in found[1:] for info in step[3] if info["TimeLimit.truncated"]]
    assert truncated
    assert all("terminal_observation" in info for info in truncated)


@pytest.mark.slow
def test_an_async_vector_env_gives_the_same_steps_as_sb3() -> None:
    env = GymnasiumVecEnv(AsyncVectorEnv(CARTPOLES, autoreset_mode=AutoresetMode.SAME_STEP, context="forkserver"))
    assert not env.has_attr("missing")
    assert env.get_attr("gravity", [2]) == [9.8]
    assert walk(env) == walk(DummyVecEnv(list(CARTPOLES)))


@pytest.mark.parametrize("mode", ["SAME_STEP", "DISABLED"])
def test_ended_environments_are_reset_in_the_same_step(mode: str) -> None:
    env = GymnasiumVecEnv(CountingVectorEnv(3, autoreset=mode))
    assert env.reset()[:, :3].tolist() == [[0, 1, 0], [1, 1, 0], [2, 1, 0]]
    assert env.reset_infos[1] == {"episode_number": 1}

    env.step(np.array([1, 0, 1]))
    observations, rewards, dones, infos = env.step(np.array([1, 0, 1]))
    assert observations[:, :3].tolist() == [[0, 2, 0], [1, 1, 2], [2, 1, 2]]
    assert rewards.dtype == np.float32
    assert rewards.tolist() == [1, 0, 1]
    assert dones.tolist() == [True, False, False]
    assert infos[0].pop("terminal_observation")[:3].tolist() == [0, 1, 2]
    assert [info["step"] for info in infos] == [2, 2, 2]
    assert env.reset_infos[0] == {"episode_number": 2}

    _, _, dones, infos = env.step(np.array([0, 0, 0]))
    assert dones.tolist() == [False, True, False]
    assert [info["TimeLimit.truncated"] for info in infos] == [False, True, False]
    assert infos[1]["terminal_observation"][:3].tolist() == [1, 1, 3]
    assert infos[1]["step"] == 3


def test_episodes_are_counted_and_frames_of_their_ends_kept() -> None:
    env = VecMonitor(GymnasiumVecEnv(CountingVectorEnv(1, render_mode="rgb_array")))
    env.reset()
    env.step(np.array([1]))
    _, _, _, [info] = env.step(np.array([1]))
    assert (info["episode"]["r"], info["episode"]["l"]) == (2, 2)
    assert info["last_frame"].max() == 2
    [frame] = env.get_images()
    assert frame is not None
    assert frame.max() == 0


def test_methods_and_attributes_of_a_vector_env_have_a_row_for_each_environment() -> None:
    env = GymnasiumVecEnv(ClipReward(CountingVectorEnv(2), min_reward=0.5))
    env.reset()
    assert [row.tolist() for row in env.env_method("action_masks")] == [[True, True], [True, True]]
    assert env.get_attr("num_envs", [1]) == [2]
    assert env.step(np.array([0, 1]))[1].tolist() == [0.5, 1]
    assert not env.has_attr("missing")
    separate = make_sync(AutoresetMode.SAME_STEP)
    separate.set_attr("gravity", 1.0)
    assert separate.get_attr("gravity") == [1.0, 1.0, 1.0]


def test_cartpole_resets_only_those_that_have_ended() -> None:
    env = GymnasiumVecEnv(gymnasium.make_vec("CartPole-v1", 4, vectorization_mode="vector_entry_point"))
    env.seed(3)
    env.reset()
    lengths = np.zeros(4, dtype=int)
    for _ in range(30):
        plain: Any = copy.deepcopy(env.vector_env.unwrapped)
        expected = plain.step(np.array([0, 1, 0, 1]))[0]
        observations, rewards, dones, infos = env.step(np.array([0, 1, 0, 1]))
        lengths += 1
        assert rewards.tolist() == [1, 1, 1, 1]
        assert np.array_equal(observations[~dones], expected[~dones])
        for index in np.flatnonzero(dones):
            assert np.array_equal(infos[index]["terminal_observation"], expected[index])
            assert np.abs(observations[index]).max() <= 0.05
            assert 7 < lengths[index] < 13  # pushed in one direction
            lengths[index] = 0


@pytest.mark.parametrize(
    "make",
    [
        lambda: make_sync(AutoresetMode.SAME_STEP),
        lambda: GymnasiumVecEnv(gymnasium.make_vec("CartPole-v1", 3)),
        lambda: GymnasiumVecEnv(ClipReward(CountingVectorEnv(3), min_reward=0)),
    ],
    ids=["sync", "cartpole", "own"],
)
def test_snapshots_are_exact(make: Any) -> None:
    exactness = self_test(make)
    assert exactness.exact, exactness.reason


def test_other_resets_in_the_next_step_are_refused() -> None:
    with pytest.raises(ValueError, match=r"CountingVectorEnv has AutoresetMode.NEXT_STEP, .* needs SAME_STEP"):
        GymnasiumVecEnv(CountingVectorEnv(2, autoreset="NEXT_STEP"))
    silent = CountingVectorEnv(2)
    del silent.metadata["autoreset_mode"]
    with pytest.raises(ValueError, match=r"expected metadata\['autoreset_mode'\] .* found None"):
        GymnasiumVecEnv(silent)
