"""Functional JAX environments."""

from __future__ import annotations

from typing import Any

import numpy as np

from drift_functional_env import make_drift
from sb3_ext.vec import GymnasiumVecEnv
from sb3_ext.vec.snapshots.exactness import self_test

LEFT_RIGHT_BOTH = [[0, 1, step % 2] for step in range(40)]


def test_only_ended_environments_are_reset_and_the_others_drift_on() -> None:
    env = GymnasiumVecEnv(make_drift(3))
    env.seed(3)
    observations: Any = env.reset()
    assert [info["start"] for info in env.reset_infos] == observations[:, 1].tolist()
    truncated = terminated = 0
    for actions in LEFT_RIGHT_BOTH:
        before = observations
        observations, rewards, dones, infos = env.step(np.array(actions))
        assert isinstance(observations, np.ndarray)
        assert rewards.tolist() == [1, 1, 1]
        for index, info in enumerate(infos):
            last = info.get("terminal_observation", observations[index])
            assert last[0] == np.float32(before[index, 0] + info["distance"])
            assert last[1] == before[index, 1]
            if dones[index]:
                assert observations[index, 0] == observations[index, 1]
                assert abs(last[0]) > 1 or info["TimeLimit.truncated"]
                truncated += info["TimeLimit.truncated"]
                terminated += not info["TimeLimit.truncated"]
    assert truncated >= 2
    assert terminated >= 10


def test_snapshots_are_exact() -> None:
    exactness = self_test(lambda: GymnasiumVecEnv(make_drift(3)))
    assert exactness.exact, exactness.reason
