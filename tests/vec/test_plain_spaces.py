"""Spaces that Stable-Baselines3 does not support are converted."""

from __future__ import annotations

import pickle
from typing import Any

import gymnasium
import numpy as np
import pytest
from gymnasium import spaces
from sb3_ext_envs.mock import MockEnv
from stable_baselines3.common.env_util import make_vec_env

from sb3_ext.vec.environment_factory import EnvironmentFactory
from sb3_ext.vec.plain_spaces import PlainSpacesWrapper, use_plain_spaces
from sb3_ext.vec.snapshots.exactness import self_test

BOX = spaces.Box(-1.0, 1.0, (2,))


class EchoEnv(gymnasium.Env[Any, Any]):
    """Returns the given observation, and records the action."""

    def __init__(self, observation_space: spaces.Space[Any], action_space: spaces.Space[Any], shown: Any) -> None:
        self.observation_space, self.action_space = observation_space, action_space
        self.shown = shown
        self.taken: Any = None

    def reset(self, *, seed: int | None = None, options: Any = None) -> tuple[Any, dict[str, Any]]:
        return self.shown, {"at": "reset"}

    def step(self, action: Any) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        self.taken = action
        return self.shown, 1.0, False, True, {"at": "step"}


@pytest.mark.parametrize(
    ("space", "plain", "given", "taken"),
    [
        (spaces.Discrete(3, start=-1), spaces.Discrete(3), np.int64(0), -1),
        (spaces.MultiDiscrete([2, 3], start=[1, 5]), spaces.MultiDiscrete([2, 3]), np.array([1, 2]), [2, 7]),
        (spaces.MultiDiscrete([[2, 3], [4, 5]]), spaces.MultiDiscrete([2, 3, 4, 5]), np.arange(4), [[0, 1], [2, 3]]),
        (spaces.MultiBinary((2, 1)), spaces.MultiBinary(2), np.array([0, 1], np.int8), [[0], [1]]),
        (spaces.Box(0, 9, (2,), np.int64), spaces.Box(0.0, 9.0, (2,)), np.array([1.4, 8.6], np.float32), [1, 9]),
    ],
)
def test_actions(space: spaces.Space[Any], plain: spaces.Space[Any], given: Any, taken: Any) -> None:
    env = EchoEnv(BOX, space, np.zeros(2, np.float32))
    wrapped = use_plain_spaces(env)
    assert (wrapped.action_space, wrapped.observation_space) == (plain, BOX)
    wrapped.step(given)
    assert np.array_equal(env.taken, taken)
    assert space.contains(env.taken)


NESTED = spaces.Dict(
    {"goal": BOX, "arm": spaces.Dict({"angle": spaces.Box(0.0, 9.0, ()), "joint": spaces.Discrete(2)})}
)


@pytest.mark.parametrize(
    ("space", "plain", "shown", "seen"),
    [
        (spaces.Discrete(3, start=5), spaces.Discrete(3), 6, 1),
        (spaces.MultiDiscrete([2, 3], start=[1, 5]), spaces.MultiDiscrete([2, 3]), np.array([2, 7]), [1, 2]),
        (spaces.MultiDiscrete([[2], [4]]), spaces.MultiDiscrete([2, 4]), np.array([[1], [3]]), [1, 3]),
        (spaces.Box(0.0, 9.0, ()), spaces.Box(0.0, 9.0, (1,)), np.float32(4.0), [4.0]),
        (
            spaces.Tuple([spaces.Discrete(32, start=1), BOX]),
            spaces.Dict({"0": spaces.Discrete(32), "1": BOX}),
            (3, np.ones(2, np.float32)),
            {"0": 2, "1": [1.0, 1.0]},
        ),
        (
            NESTED,
            spaces.Dict({"arm/angle": spaces.Box(0.0, 9.0, (1,)), "arm/joint": spaces.Discrete(2), "goal": BOX}),
            {"goal": np.ones(2, np.float32), "arm": {"angle": np.float32(3.0), "joint": 1}},
            {"arm/angle": [3.0], "arm/joint": 1, "goal": [1.0, 1.0]},
        ),
    ],
)
def test_observations(space: spaces.Space[Any], plain: spaces.Space[Any], shown: Any, seen: Any) -> None:
    env = use_plain_spaces(EchoEnv(space, spaces.Discrete(2), shown))
    assert env.observation_space == plain
    (at_reset, reset_info), (at_step, *rest) = env.reset(), env.step(1)
    for observation in (at_reset, at_step):
        assert plain.contains(observation if isinstance(observation, dict | np.ndarray) else np.int64(observation))
        for key, value in seen.items() if isinstance(seen, dict) else [(None, seen)]:
            assert np.array_equal(observation if key is None else observation[key], value)
    assert (reset_info, rest) == ({"at": "reset"}, [1.0, False, True, {"at": "step"}])


@pytest.mark.parametrize(
    "space",
    [BOX, spaces.Discrete(3), spaces.MultiBinary((2, 3)), spaces.Dict({"b": BOX, "a": spaces.Discrete(2)})],
)
def test_supported_spaces_are_not_changed(space: spaces.Space[Any]) -> None:
    env = EchoEnv(space, spaces.Discrete(2), None)
    assert use_plain_spaces(env) is env


def test_two_parts_of_the_same_name_are_refused() -> None:
    space = spaces.Dict({"a/b": BOX, "a": spaces.Dict({"b": BOX})})
    with pytest.raises(ValueError, match="two parts of the observation would be called 'a/b'"):
        PlainSpacesWrapper(EchoEnv(space, spaces.Discrete(2), None))


def test_blackjack_whose_observation_is_a_tuple() -> None:
    factory = pickle.loads(pickle.dumps(EnvironmentFactory("Blackjack-v1")))
    env = make_vec_env(factory, n_envs=2, seed=0)
    observations = env.reset()
    assert isinstance(observations, dict)
    assert {key: value.shape for key, value in observations.items()} == {"0": (2,), "1": (2,), "2": (2,)}
    env.close()


def test_a_wrapped_environment_resumes_exactly() -> None:
    actions = spaces.MultiDiscrete([[2, 3]], start=[[1, 1]])
    assert self_test(lambda: use_plain_spaces(MockEnv(NESTED, actions))).exact
