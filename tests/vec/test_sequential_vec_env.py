"""SequentialVecEnv gives the same results as DummyVecEnv, bit for bit."""

from __future__ import annotations

import copy
from typing import Any

import gymnasium
import numpy as np
import pytest
from gymnasium import spaces
from hypothesis import given, settings
from hypothesis import strategies as st
from stable_baselines3.common.env_util import make_vec_env
from stable_baselines3.common.monitor import Monitor
from stable_baselines3.common.vec_env import DummyVecEnv, VecEnv

from sb3_ext.vec import SequentialVecEnv, WorkerVecEnv
from sb3_ext.vec.sequential_vec_env import copy_infos
from sb3_ext.vec.snapshots.vec_snapshots import get_vec_snapshot, set_vec_snapshot

SPACES = st.sampled_from(
    [
        spaces.Box(-1.0, 1.0, (3, 2), np.float32),
        spaces.Box(-1.0, 1.0, (2,), np.float64),
        spaces.Box(0, 255, (4, 4, 3), np.uint8),
        spaces.Discrete(5),
        spaces.MultiBinary(4),
        spaces.Dict({"image": spaces.Box(0, 255, (2, 2, 1), np.uint8), "place": spaces.Discrete(3)}),
        spaces.Tuple([spaces.Discrete(3), spaces.Box(-1, 1, (2,))]),
    ]
)
SCALARS = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=3), st.floats(width=32).map(np.float32)
)
VALUES = st.recursive(
    st.one_of(SCALARS, st.lists(st.integers(0, 9), max_size=3).map(np.array), st.builds(set)),
    lambda inner: st.one_of(
        st.lists(inner, max_size=2), st.tuples(inner, inner), st.dictionaries(st.text(max_size=2), inner, max_size=2)
    ),
    max_leaves=4,
)
INFOS = st.one_of(
    st.just({}), st.dictionaries(st.text(max_size=2), SCALARS), st.dictionaries(st.text(max_size=2), VALUES)
)


class ScriptedEnv(gymnasium.Env[Any, Any]):
    """
    Observes samples of its space, and reports infos and ends of episodes from a list.

    :param space: of observations
    :param script: of each step: the info, and whether the episode is terminated and truncated
    """

    action_space = spaces.Discrete(3)

    def __init__(self, space: spaces.Space[Any], script: list[tuple[dict[str, Any], bool, bool]]) -> None:
        self.observation_space = copy.deepcopy(space)
        self.observation_space.seed(0)
        self.script = copy.deepcopy(script)
        self.actions: list[Any] = []

    def reset(self, *, seed: int | None = None, options: Any = None) -> tuple[Any, dict[str, Any]]:
        return self.observation_space.sample(), {"seed": seed}

    def step(self, action: Any) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        info, terminated, truncated = self.script[len(self.actions)]
        self.actions.append(action)
        return self.observation_space.sample(), 0.1 * len(self.actions), terminated, truncated, info


def assert_same(found: Any, expected: Any) -> None:
    """Compare values and types."""
    if isinstance(expected, dict):  # DummyVecEnv's observations are an OrderedDict
        assert list(found) == list(expected)
        for key in expected:
            if key != "t":  # seconds
                assert_same(found[key], expected[key])
        return
    assert type(found) is type(expected)
    if isinstance(expected, list | tuple):
        assert len(found) == len(expected)
        for one, other in zip(found, expected, strict=True):
            assert_same(one, other)
    elif isinstance(expected, np.ndarray | np.generic):
        assert (found.dtype, found.shape) == (expected.dtype, expected.shape)
        assert found.tobytes() == expected.tobytes()
    else:
        assert repr(found) == repr(expected)  # also NaN


@settings(max_examples=25, deadline=None)
@given(SPACES, st.lists(st.tuples(INFOS, st.booleans(), st.booleans()), min_size=1, max_size=4))
def test_steps_equal_those_of_dummy_vec_env(
    space: spaces.Space[Any], script: list[tuple[dict[str, Any], bool, bool]]
) -> None:
    kinds = (SequentialVecEnv, DummyVecEnv)
    found, expected = (kind([lambda: Monitor(ScriptedEnv(space, script)) for _ in range(2)]) for kind in kinds)
    found.seed(3)
    expected.seed(3)
    assert_same(found.reset(), expected.reset())
    for step in range(len(script)):
        actions = np.array([step, step + 1]) % 3
        assert_same(found.step(actions), expected.step(actions))
        assert_same(found.reset_infos, expected.reset_infos)
    assert_same(found.get_attr("actions"), expected.get_attr("actions"))


def test_results_stay_as_they_are_when_the_environments_step_on() -> None:
    env = make_vec_env("CartPole-v1", 2, seed=1, vec_env_cls=SequentialVecEnv)
    results = [env.reset(), *(part for _ in range(40) for part in env.step(np.array([0, 1])))]
    kept = copy.deepcopy(results)
    env.step(np.array([0, 1]))
    assert_same(results, kept)


def test_changes_of_copied_infos_do_not_reach_the_originals() -> None:
    shared = np.zeros(2)
    infos = [{"lives": 3}, {"board": shared, "same": shared, "names": ["a"]}]
    copies = copy_infos(infos)
    copies[0]["lives"] = 2
    copies[1]["board"][0] = 1.0
    copies[1]["names"].append("b")
    assert copies[1]["same"] is copies[1]["board"]
    assert infos[0] == {"lives": 3}
    assert infos[1]["names"] == ["a"]
    assert not shared.any()


def test_an_info_that_cannot_be_copied_is_an_error() -> None:
    with pytest.raises(TypeError, match="generator"):
        copy_infos([{"steps": (step for step in range(3))}])


def test_a_copied_env_continues_like_the_original() -> None:
    env = make_vec_env("CartPole-v1", 2, seed=1, vec_env_cls=SequentialVecEnv)
    env.reset()
    copied = copy.deepcopy(env)
    assert_same(copied.step(np.array([0, 1])), env.step(np.array([0, 1])))


@pytest.mark.parametrize(
    "kinds", [(DummyVecEnv, SequentialVecEnv), (SequentialVecEnv, DummyVecEnv), (SequentialVecEnv, WorkerVecEnv)]
)
def test_snapshots_fit_other_kinds(kinds: tuple[type[VecEnv], type[VecEnv]]) -> None:
    saved, restored = (make_vec_env("CartPole-v1", 2, seed=1, vec_env_cls=kind) for kind in kinds)
    saved.reset()
    saved.step(np.array([0, 1]))
    set_vec_snapshot(restored, get_vec_snapshot(saved))
    assert_same(restored.step(np.array([1, 1])), saved.step(np.array([1, 1])))
    restored.close()


def test_paused_environments_are_not_stepped_until_the_next_reset() -> None:
    script: list[tuple[dict[str, Any], bool, bool]] = [({"lives": 3}, False, True)] * 3
    env = SequentialVecEnv([lambda: ScriptedEnv(spaces.Discrete(5), script) for _ in range(2)])
    env.reset()
    before, *_ = env.step(np.array([0, 1]))
    env.pause([1])

    observations, rewards, dones, infos = env.step(np.array([0, 1]))

    assert observations[1] == before[1]
    assert (rewards[1], dones[1], infos[1]) == (0.0, False, {"TimeLimit.truncated": False})
    assert (dones[0], infos[0]["lives"]) == (True, 3)
    env.reset()
    env.step(np.array([0, 1]))
    assert list(map(len, env.get_attr("actions"))) == [3, 2]
