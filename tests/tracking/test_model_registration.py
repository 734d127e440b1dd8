"""The best agent of a completed run in MLflow's registry, with its SQLite store."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import mlflow
import numpy as np
import pytest
from mlflow import MlflowClient

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
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("runs")


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


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"tracking": {"mlflow": {"register": "a/b"}}}, "register: expected a name without '/' and ':', found 'a/b'"),
        ({"env": {"id": "CartPole-v1", "frame_stack": 2}}, "acts on single observations, but with env.frame_stack"),
    ],
)
def test_what_cannot_be_registered_is_refused_before_training(
    client: MlflowClient, changes: dict[str, Any], message: str
) -> None:
    with pytest.raises(ConfigError, match=message):
        sb3_ext.train({**CARTPOLE, **changes}, run_dir="refused")
    assert not Path("refused").exists()


FRESH = """
import json, sys
import gymnasium, mlflow, numpy as np

model = mlflow.pyfunc.load_model("models:/converged@best")
env = gymnasium.make("CartPole-v1")
returns = []
for seed in range(20):
    observation, _ = env.reset(seed=seed)
    total, has_ended = 0.0, False
    while not has_ended:
        action = model.predict(observation[None])
        observation, reward, terminated, truncated, _ = env.step(int(action[0]))
        total, has_ended = total + reward, terminated or truncated
    returns.append(total)
print(json.dumps(returns))
"""


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_a_fresh_process_scores_what_the_evaluation_says(client: MlflowClient) -> None:
    config = {
        "seed": 1,
        "env": {"id": "CartPole-v1", "normalize": True},
        "parallel": {"num_envs": 8},
        "agent": {
            "id": "ppo",
            "threads": 1,
            "params": {"n_steps": 32, "batch_size": 256, "learning_rate": "linear(1e-3)", "n_epochs": 20},
        },
        "train": {"total_steps": 100_000},
        "eval": {"every_steps": 5000, "episodes": 20},
        "early_stopping": {"target": {"return": 400, "by": "evaluation", "window": 1, "patience": 1}},
        "tracking": {"mlflow": {"register": "converged", "experiment": "converged"}},
    }
    run = sb3_ext.train(config, run_dir="converged")

    assert run.record.stop_reason == "converged"
    [found] = client.search_runs(
        [client.get_experiment_by_name("converged").experiment_id], "params.`agent.id` = 'ppo'"
    )
    assert found.data.tags["stop_reason"] == "converged"
    evaluations = client.get_metric_history(found.info.run_id, "eval/mean_return")
    best = float(client.get_model_version_by_alias("converged", "best").tags["evaluation_return"])
    assert best == max(entry.value for entry in evaluations)
    output = subprocess.run([sys.executable, "-c", FRESH], capture_output=True, text=True, check=True).stdout
    returns = json.loads(output.splitlines()[-1])
    standard_error = max(1.0, float(np.std(returns))) / np.sqrt(20)
    assert abs(np.mean(returns) - best) < 4 * np.sqrt(2) * standard_error
