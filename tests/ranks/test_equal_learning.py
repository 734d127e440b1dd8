"""Two ranks with n environments each learn the same as one process with all of them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from joint_training import NUM_ENVS, UPDATES, JointTraining
from rank_processes import run_ranks
from rank_trainings import STEPS, learn_on_this_rank


@pytest.fixture(scope="module")
def joint() -> JointTraining:
    training = JointTraining()
    training.learn()
    return training


@pytest.fixture(scope="module", params=["stock", "torch"])
def ranks(request: pytest.FixtureRequest) -> list[dict[str, Any]]:
    return run_ranks(learn_on_this_rank, request.param)


def test_two_ranks_learn_as_one_process_with_all_environments(
    ranks: list[dict[str, Any]], joint: JointTraining
) -> None:
    expected = [tensor.numpy() for tensor in joint.model.policy.state_dict().values()]
    for found, wanted in zip(ranks[0]["weights"], expected, strict=True):
        np.testing.assert_allclose(found, wanted, atol=1e-5)
    assert 0 < joint.count_stopped() < UPDATES, "target_kl must end some updates early, not all"
    assert ranks[0]["updates"] == joint.model._n_updates


def test_all_ranks_have_the_same_weights_at_every_check(ranks: list[dict[str, Any]]) -> None:
    assert [rank["checks"] for rank in ranks] == [UPDATES, UPDATES]
    for first, second in zip(ranks[0]["weights"], ranks[1]["weights"], strict=True):
        np.testing.assert_array_equal(first, second)


def test_statistics_are_those_of_the_observations_of_all_ranks(
    ranks: list[dict[str, Any]], joint: JointTraining
) -> None:
    env = joint.envs[0]
    expected = [env.obs_rms.mean, env.obs_rms.var, env.ret_rms.mean, env.ret_rms.var]
    for rank in ranks:
        assert rank["count"] == pytest.approx(1e-4 + STEPS + 2 * NUM_ENVS, abs=1e-9)
        for found, wanted in zip(rank["statistics"], expected, strict=True):
            np.testing.assert_allclose(found, wanted, rtol=1e-6)


def test_steps_and_episodes_of_all_ranks_are_counted_on_every_rank(ranks: list[dict[str, Any]]) -> None:
    assert [rank["step"] for rank in ranks] == [STEPS, STEPS]
    assert ranks[0]["episodes"] == ranks[1]["episodes"]
    steps, lengths = ranks[0]["episodes"]["step"], ranks[0]["episodes"]["length"]
    assert steps == sorted(steps)
    assert STEPS - 4 * 200 < sum(lengths) <= STEPS


def test_losses_are_means_over_all_ranks(ranks: list[dict[str, Any]], joint: JointTraining) -> None:
    logged = joint.model.logger.name_to_value
    for rank in ranks:
        for name in ("train/approx_kl", "train/value_loss", "train/entropy_loss", "train/clip_fraction"):
            assert rank["logged"][name] == pytest.approx(logged[name], abs=1e-5)
