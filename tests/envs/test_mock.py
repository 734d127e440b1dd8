from __future__ import annotations

import pickle
from typing import Any

import gymnasium
import numpy as np
import pytest
import sb3_ext_envs  # noqa: F401 (registers)
from gymnasium import spaces
from gymnasium.utils.env_checker import check_env as check_with_gymnasium
from stable_baselines3.common.env_checker import check_env as check_with_sb3

SPACES = {
    "box": spaces.Box(-2.0, 2.0, (3,)),
    "unbounded": spaces.Box(-np.inf, np.inf, (3,)),
    "image": spaces.Box(0, 255, (36, 36, 3), np.uint8),
    "discrete": spaces.Discrete(5),
    "multi discrete": spaces.MultiDiscrete([2, 3]),
    "multi binary": spaces.MultiBinary(4),
    "dict": spaces.Dict({"image": spaces.Box(0, 255, (36, 36, 3), np.uint8), "speed": spaces.Box(-1.0, 1.0, (2,))}),
}
ACTIONS = {
    "discrete": spaces.Discrete(3),
    "box": spaces.Box(-1.0, 1.0, (2,)),
    "multi discrete": spaces.MultiDiscrete([2, 3]),
    "multi binary": spaces.MultiBinary(4),
}


def make_mock(**params: Any) -> gymnasium.Env[Any, Any]:
    return gymnasium.make("sb3_ext/Mock-v0", disable_env_checker=True, **params)


def record_steps(env: gymnasium.Env[Any, Any], steps: int) -> list[Any]:
    """Play a constant action; begin a new episode, unseeded, whenever one ends."""
    action = np.zeros_like(env.action_space.sample())
    record: list[Any] = []
    for _ in range(steps):
        observation, reward, terminated, truncated, _ = env.step(action)
        record.append((observation, reward, terminated, truncated))
        if terminated or truncated:
            record.append(env.reset()[0])
    return record


@pytest.mark.parametrize("action_space", ACTIONS.values(), ids=ACTIONS)
@pytest.mark.parametrize("observation_space", SPACES.values(), ids=SPACES)
@pytest.mark.filterwarnings("ignore:.*Box observation space m.*um value is.*infinity")
def test_passes_the_checks_of_gymnasium_and_sb3(
    observation_space: spaces.Space[Any], action_space: spaces.Space[Any]
) -> None:
    env = make_mock(observation_space=observation_space, action_space=action_space, render_mode="rgb_array")
    check_with_gymnasium(env.unwrapped)
    check_with_sb3(env.unwrapped)


def test_the_same_seed_gives_the_same_episodes() -> None:
    first, second, other = make_mock(), make_mock(), make_mock()
    starts = [env.reset(seed=seed)[0] for env, seed in ((first, 7), (second, 7), (other, 8))]
    np.testing.assert_equal(starts[0], starts[1])
    records = [record_steps(env, 200) for env in (first, second, other)]
    np.testing.assert_equal(records[0], records[1])
    assert str(records[0]) != str(records[2])


def test_sampling_the_public_spaces_does_not_disturb_the_episodes() -> None:
    quiet, disturbed = make_mock(), make_mock()
    quiet.reset(seed=7)
    disturbed.reset(seed=7)
    disturbed.observation_space.sample()
    np.testing.assert_equal(record_steps(disturbed, 100), record_steps(quiet, 100))


@pytest.mark.parametrize("params", [{}, {"has_action_masks": True}, {"observation_space": SPACES["dict"]}])
def test_a_pickled_copy_continues_in_the_middle_of_an_episode(params: dict[str, Any]) -> None:
    env = make_mock(**params)
    env.reset(seed=7)
    record_steps(env, 5)
    copy = pickle.loads(pickle.dumps(env))
    np.testing.assert_equal(record_steps(copy, 200), record_steps(env, 200))
    if "has_action_masks" in params:
        np.testing.assert_equal(copy.unwrapped.action_masks(), env.unwrapped.action_masks())


def test_episodes_have_lengths_between_the_bounds_and_end_in_both_ways() -> None:
    env = make_mock(shortest_episode_steps=3, longest_episode_steps=6)
    env.reset(seed=1)
    lengths, endings, length = set(), set(), 0
    for _ in range(500):
        *_, reward, terminated, truncated, _ = env.step(0)
        assert -1.0 <= reward < 1.0
        length += 1
        if terminated or truncated:
            lengths.add(length)
            endings.add((terminated, truncated))
            length = 0
            env.reset()
    assert lengths == {3, 4, 5, 6}
    assert endings == {(True, False), (False, True)}


def test_huge_bounds_count_as_unbounded() -> None:
    far = np.finfo(np.float32).max
    env = make_mock(observation_space=spaces.Box(-far, far, (100,)))
    observation, _ = env.reset(seed=1)
    assert np.abs(observation).max() < 10
    assert observation in env.observation_space


@pytest.mark.parametrize(
    ("action_space", "branches"),
    [(spaces.Discrete(3), [3]), (spaces.MultiDiscrete([2, 3]), [2, 3]), (spaces.MultiBinary(2), [2, 2])],
)
def test_masks_always_leave_a_choice_in_each_dimension(action_space: spaces.Space[Any], branches: list[int]) -> None:
    env = make_mock(action_space=action_space, has_action_masks=True)
    env.reset(seed=1)
    seen = set()
    for _ in range(50):
        env.step(action_space.sample())
        masks = env.get_wrapper_attr("action_masks")()
        assert len(masks) == sum(branches)
        assert all(part.any() for part in np.split(masks, np.cumsum(branches)[:-1]))
        seen.add(masks.tobytes())
        if env.unwrapped._steps_left == 0:
            env.reset()
    assert len(seen) > 1


def test_has_no_masks_by_default() -> None:
    assert not hasattr(make_mock().unwrapped, "action_masks")


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"shortest_episode_steps": 0}, "shortest_episode_steps must be positive .* but got 0 and 50"),
        ({"shortest_episode_steps": 9, "longest_episode_steps": 5}, "at most longest_episode_steps, but got 9 and 5"),
        ({"action_space": spaces.Box(-1.0, 1.0, (2,)), "has_action_masks": True}, "has_action_masks needs a Discrete"),
    ],
)
def test_invalid_parameters_are_refused(params: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make_mock(**params)


def test_takes_its_spaces_from_another_environment() -> None:
    env = make_mock(like="Pendulum-v1", like_params={"g": 9.0})
    pendulum = gymnasium.make("Pendulum-v1")
    assert env.action_space == pendulum.action_space
    assert env.observation_space == pendulum.observation_space
    assert not env.has_wrapper_attr("action_masks")
    assert make_mock(like="sb3_ext/Mock-v0", like_params={"has_action_masks": True}).has_wrapper_attr("action_masks")
