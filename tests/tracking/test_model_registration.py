"""The best agent of a completed run in MLflow's registry, with its SQLite store."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import gymnasium
import mlflow
import numpy as np
import pytest
from mlflow import MlflowClient
from sb3_ext_envs.mock import MockEnv

import sb3_ext
from sb3_ext.checkpoints.bundle.bundle import open_bundle
from sb3_ext.errors import ConfigError
from sb3_ext.runs.run import Run
from sb3_ext.selfplay.opponents.observation_statistics import make_normalize
from sb3_ext.tracking.mlflow import MlflowTracker
from sb3_ext.tracking.tracker import TrackedRun

PARAMS = {"n_steps": 16, "batch_size": 8, "policy_kwargs": {"net_arch": [8]}}
CARTPOLE: dict[str, Any] = {
    "seed": 1,
    "env": {"id": "CartPole-v1", "max_steps": 20, "normalize": True},
    "agent": {"id": "ppo", "threads": 1, "params": PARAMS},
    "train": {"total_steps": 32},
    "eval": {"episodes": 2},
    "tracking": {"mlflow": {"register": "cartpole"}},
}
CONNECT4: dict[str, Any] = {
    "seed": 1,
    "game": {"id": "connect4"},
    "parallel": {"num_envs": 2},
    "agent": {"id": "maskable_ppo", "threads": 1, "params": PARAMS},
    "train": {"total_steps": 32, "opponent_sampler": {"type": "random"}},
    "eval": {"episodes": 2},
    "tracking": {"mlflow": {"register": "connect4"}},
}


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory, mlflow_database: Path) -> Path:
    root = tmp_path_factory.mktemp("runs")
    shutil.copy(mlflow_database, root)
    return root


@pytest.fixture
def client(root: Path, monkeypatch: pytest.MonkeyPatch) -> MlflowClient:
    monkeypatch.chdir(root)
    uri = f"sqlite:///{root / 'mlflow.db'}"
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
    return MlflowClient(uri, registry_uri=uri)


def test_a_normalised_agent_predicts_from_raw_observations(client: MlflowClient) -> None:
    run = sb3_ext.train(CARTPOLE, run_dir="cartpole")

    version = client.get_model_version_by_alias("cartpole", "best")
    assert float(version.tags["evaluation_return"]) == run.metrics["last_evaluation"]["mean_return"]
    assert version.run_id == Run(Path("cartpole")).trackers["mlflow"]
    loaded = mlflow.pyfunc.load_model("models:/cartpole@best")
    raw = np.random.default_rng(1).normal(size=(50, 4)).astype(np.float32)
    normalize = make_normalize(open_bundle(run.latest.path).read_normalization())
    expected, _ = run.latest.load().predict(normalize(raw), deterministic=True)
    assert loaded.predict(raw).tolist() == expected.tolist()
    assert len({*expected.tolist()}) == 2
    requirements = Path(mlflow.artifacts.download_artifacts("models:/cartpole@best/requirements.txt")).read_text()
    assert "stable-baselines3==" in requirements


def test_an_agent_that_needs_masks_takes_them(client: MlflowClient) -> None:
    sb3_ext.train(CONNECT4, run_dir="connect4")

    loaded = mlflow.pyfunc.load_model("models:/connect4@best")
    masks = np.eye(7, dtype=bool)
    boards = np.zeros((7, *loaded.metadata.signature.inputs.inputs[0].shape[1:]), dtype=loaded_dtype(loaded))
    assert loaded.predict({"observation": boards, "action_mask": masks}).tolist() == [*range(7)]


def loaded_dtype(loaded: Any) -> np.dtype[Any]:
    found: np.dtype[Any] = loaded.metadata.signature.inputs.inputs[0].type
    return found


def test_the_alias_moves_only_upwards(client: MlflowClient, root: Path) -> None:
    folder = root / "model"
    folder.mkdir()
    (folder / "MLmodel").write_text("flavors: {}\n")
    tracker = MlflowTracker(register="mine")
    tracker.start(TrackedRun("mine", root))
    best = []
    for number, score in enumerate((10.0, 5.0, None, 20.0, 20.0)):
        for _ in range(2):  # the second time after an error
            tracker.log_model(folder, score, float(number))
        best.append(int(client.get_model_version_by_alias("mine", "best").version))
    assert best == [1, 1, 1, 4, 4]
    assert len(client.search_model_versions("name = 'mine'")) == 5


def test_a_name_that_mlflow_refuses_is_refused_before_training(client: MlflowClient) -> None:
    message = "register: expected a name without '/' and ':', found 'a/b'"
    with pytest.raises(ConfigError, match=message):
        sb3_ext.train({**CARTPOLE, "tracking": {"mlflow": {"register": "a/b"}}}, run_dir="refused")
    assert not Path("refused").exists()


EPISODE_STARTS = np.array([[1, 1, 1], [0, 0, 0], [0, 1, 0], [0, 0, 0]], dtype=bool)
"""Of four calls with three rows."""


def make_raw(space: tuple[int, ...] = (4,)) -> np.ndarray[Any, np.dtype[np.float32]]:
    return np.random.default_rng(1).normal(size=(4, 3, *space)).astype(np.float32)


def test_a_frame_stack_is_part_of_the_model(client: MlflowClient) -> None:
    env = {**CARTPOLE["env"], "frame_stack": 3}
    run = sb3_ext.train({**CARTPOLE, "env": env, "tracking": {"mlflow": {"register": "stacked"}}}, run_dir="stacked")

    loaded = mlflow.pyfunc.load_model("models:/stacked@best")
    normalize = make_normalize(open_bundle(run.latest.path).read_normalization())
    agent, frames = run.latest.load(), np.zeros((3, 3, 4), dtype=np.float32)
    chosen = []
    for raw, starts in zip(make_raw(), EPISODE_STARTS, strict=True):
        frames[starts] = 0
        frames = np.concatenate([frames[:, 1:], raw[:, None]], axis=1)  # the oldest first
        expected, _ = agent.predict(normalize(frames.reshape(3, 12)), deterministic=True)
        assert loaded.predict({"observation": raw, "episode_start": starts}).tolist() == expected.tolist()
        chosen += expected.tolist()
    assert {*chosen} == {0, 1}
    with pytest.raises(ValueError, match="the batch has 2 rows, but the last one had 3; all episodes begin then"):
        loaded.predict({"observation": raw[:2], "episode_start": np.array([True, False])})


def test_a_recurrent_policy_keeps_its_states(client: MlflowClient) -> None:
    params = {**PARAMS, "policy_kwargs": {"net_arch": [8], "lstm_hidden_size": 8}}
    agent_section = {"id": "recurrent_ppo", "threads": 1, "params": params}
    config = {**CARTPOLE, "env": {"id": "CartPole-v1"}, "agent": agent_section}
    run = sb3_ext.train({**config, "tracking": {"mlflow": {"register": "recurrent"}}}, run_dir="recurrent")

    loaded = mlflow.pyfunc.load_model("models:/recurrent@best")
    agent, state = run.latest.load(), None
    inner: Any = loaded._model_impl
    for raw, starts in zip(make_raw(), EPISODE_STARTS, strict=True):
        expected, state = agent.predict(raw, state, starts, deterministic=True)
        assert loaded.predict({"observation": raw, "episode_start": starts}).tolist() == expected.tolist()
        assert np.allclose(inner._state[0], state[0])


def test_images_are_taken_as_the_environment_gives_them(client: MlflowClient) -> None:
    space = gymnasium.spaces.Box(0, 255, (36, 36, 3), np.uint8)
    gymnasium.register("tests/Images-v0", lambda **_: MockEnv(space))
    env = {"id": "tests/Images-v0", "max_steps": 20, "frame_stack": 2}
    config = {**CARTPOLE, "env": env, "tracking": {"mlflow": {"register": "images"}}}
    run = sb3_ext.train(config, run_dir="images")

    loaded = mlflow.pyfunc.load_model("models:/images@best")
    raw = np.random.default_rng(1).integers(0, 255, size=(2, 1, 36, 36, 3), dtype=np.uint8)
    loaded.predict({"observation": raw[0], "episode_start": np.ones(1, dtype=bool)})
    actions = loaded.predict({"observation": raw[1], "episode_start": np.zeros(1, dtype=bool)})
    stacked = np.concatenate([raw[0], raw[1]], axis=-1)
    expected, _ = run.latest.load().predict(np.transpose(stacked, (0, 3, 1, 2)), deterministic=True)
    assert actions.tolist() == expected.tolist()
