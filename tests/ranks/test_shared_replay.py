"""The replay buffers of several ranks are shared out again among another number of ranks."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from stable_baselines3 import DQN
from stable_baselines3.common.env_util import make_vec_env
from stable_baselines3.common.logger import Logger

from sb3_ext.checkpoints.bundle.bundle import Bundle, copy_for_playing, verify_bundle, write_bundle
from sb3_ext.checkpoints.bundle.content import capture_content, capture_part
from sb3_ext.checkpoints.restoration import restore_model
from sb3_ext.checkpoints.state.training_state import capture_state
from sb3_ext.ranks.placement import RankPlacement

ROWS = 20


def make_model(num_envs: int) -> Any:
    env = make_vec_env("CartPole-v1", num_envs)
    model = DQN("MlpPolicy", env, buffer_size=ROWS * num_envs, device="cpu", policy_kwargs={"net_arch": [4]})
    model.set_logger(Logger(None, []))
    return model


def fill(model: Any, first_env: int, rows: int) -> None:
    """Write into every number of a transition which row and environment it is of."""
    envs = first_env + np.arange(model.n_envs)
    for row in range(rows):
        values = 100.0 * row + envs
        observations = np.repeat(values[:, None], 4, 1)
        actions = (envs % 2)[:, None]
        model.replay_buffer.add(observations, observations + 0.5, actions, values, envs == row % 4, [{}] * model.n_envs)


@pytest.fixture(scope="module", params=[7, 33], ids=["part", "wrapped"])
def bundle(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    """A checkpoint of two ranks with two environments each."""
    models = [make_model(2), make_model(2)]
    for rank, model in enumerate(models):
        fill(model, 2 * rank, request.param)
        model.num_timesteps = 4 * request.param
    part = capture_part(models[1], [], ranks=2, replay_since=None)
    content = capture_content(models[0], state=capture_state(models[0]), parts=[part])
    bundle = write_bundle(tmp_path_factory.mktemp("bundle") / "step", content)
    assert bundle.manifest.ranks == 2
    return bundle


@pytest.mark.parametrize(("size", "rank"), [(1, 0), (2, 0), (2, 1), (4, 2), (4, 3)])
def test_each_rank_restores_the_rows_of_its_environments(bundle: Bundle, size: int, rank: int) -> None:
    num_envs = 4 // size
    expected, found = make_model(num_envs), make_model(num_envs)
    rows = int(bundle.manifest.step / 4)
    fill(expected, rank * num_envs, rows)
    index = restore_model(found, bundle, RankPlacement(rank, size))
    for name in ("observations", "next_observations", "actions", "rewards", "dones"):
        wanted = getattr(expected.replay_buffer, name)
        np.testing.assert_array_equal(getattr(found.replay_buffer, name), wanted, err_msg=name)
    assert (found.replay_buffer.pos, found.replay_buffer.full) == (rows % ROWS, rows >= ROWS)
    assert (index is not None) == (size == 2)


def test_a_copy_for_playing_leaves_out_all_ranks(bundle: Bundle, tmp_path: Path) -> None:
    copy_for_playing(bundle, tmp_path / "copy")
    assert sorted(verify_bundle(tmp_path / "copy").manifest.files) == ["model.zip", "weights.safetensors"]
