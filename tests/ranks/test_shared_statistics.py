"""Statistics of ``VecNormalize`` are merged by what each rank has added."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from gymnasium import spaces
from stable_baselines3.common.env_util import make_vec_env
from stable_baselines3.common.vec_env import VecNormalize

from sb3_ext.ranks.shared_statistics import SharedStatistics


@pytest.fixture
def wrappers() -> list[VecNormalize]:
    return [VecNormalize(make_vec_env("CartPole-v1", 2)) for _rank in range(3)]


def merge(shared: list[SharedStatistics]) -> None:
    total = sum(one.compute_additions() for one in shared)
    for one in shared:
        one.merge(np.asarray(total))


def test_merged_statistics_are_those_of_all_values(wrappers: list[VecNormalize]) -> None:
    dice = np.random.default_rng(0)
    shared = [SharedStatistics(wrapper) for wrapper in wrappers]
    seen: list[Any] = []
    for _rollout in range(4):
        for rank, wrapper in enumerate(wrappers):
            rows = dice.normal(1e3, 1e-2, (10 * rank + 1, 4))  # a large mean, and ranks of different weight
            wrapper.obs_rms.update(rows)
            seen.append(rows)
        merge(shared)
    values = np.concatenate(seen)
    for wrapper in wrappers:
        assert wrapper.obs_rms.count == pytest.approx(len(values) + 1e-4)
        np.testing.assert_allclose(wrapper.obs_rms.mean, values.mean(0), rtol=1e-6)
        np.testing.assert_array_equal(wrapper.obs_rms.mean, wrappers[0].obs_rms.mean)
        prior = 1e-4 * (1 + values.mean(0) ** 2) / len(values)
        np.testing.assert_allclose(wrapper.obs_rms.var, values.var(0) + prior, rtol=1e-4)


def test_a_merge_without_new_values_changes_nothing(wrappers: list[VecNormalize]) -> None:
    shared = [SharedStatistics(wrapper) for wrapper in wrappers]
    for wrapper in wrappers:
        wrapper.obs_rms.update(np.full((5, 4), 3.0))
    merge(shared)
    before = wrappers[0].obs_rms.mean.copy(), wrappers[0].obs_rms.var.copy(), wrappers[0].obs_rms.count
    merge(shared)
    np.testing.assert_array_equal(wrappers[0].obs_rms.mean, before[0])
    np.testing.assert_array_equal(wrappers[0].obs_rms.var, before[1])
    assert wrappers[0].obs_rms.count == before[2]


def test_restored_statistics_do_not_count_as_additions(wrappers: list[VecNormalize]) -> None:
    shared = [SharedStatistics(wrapper) for wrapper in wrappers]
    for wrapper, one in zip(wrappers, shared, strict=True):
        wrapper.obs_rms.mean, wrapper.obs_rms.var, wrapper.obs_rms.count = np.full(4, 7.0), np.full(4, 2.0), 1000.0
        one.begin()
    merge(shared)
    assert [wrapper.obs_rms.count for wrapper in wrappers] == [1000.0] * 3
    np.testing.assert_array_equal(wrappers[0].obs_rms.mean, np.full(4, 7.0))


def test_observations_with_parts_are_merged_by_part() -> None:
    space = spaces.Dict({"a": spaces.Box(-1, 1, (2,)), "b": spaces.Box(-1, 1, (3, 2))})

    class Parts:
        norm_obs = True

    wrapper: Any = Parts()
    from stable_baselines3.common.running_mean_std import RunningMeanStd

    wrapper.obs_rms = {key: RunningMeanStd(shape=part.shape) for key, part in space.spaces.items()}
    wrapper.ret_rms = RunningMeanStd(shape=())
    shared = SharedStatistics(wrapper)
    rows = np.random.default_rng(1).normal(size=(20, 3, 2))
    wrapper.obs_rms["b"].update(rows)
    merge([shared])
    np.testing.assert_allclose(wrapper.obs_rms["b"].mean, rows.mean(0), rtol=1e-4)
    np.testing.assert_array_equal(wrapper.obs_rms["a"].mean, np.zeros(2))
