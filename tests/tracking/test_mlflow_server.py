"""Runs with all trackers, an MLflow server among them, which is killed, as they are."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
import yaml
from click.testing import CliRunner
from mlflow import MlflowClient

import sb3_ext
from sb3_ext.cli import cli
from sb3_ext.runs.run import Run
from sb3_ext.tracking.wandb_files import read_history

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1200)]

CONFIG: dict[str, Any] = {
    "seed": 1,
    "env": {"id": "CartPole-v1"},
    "parallel": {"num_envs": 4, "mode": "sequential"},
    "agent": {"id": "ppo", "threads": 1, "params": {"n_steps": 32, "batch_size": 64}},
    "train": {"total_steps": 3072, "callbacks": [{"type": "checkpoint", "params": {"interval": 256}}]},
    "eval": {"every_steps": 512, "episodes": 2},
}

NOT_REPEATED = ("time/", "system/")  # of the machine


class Server:
    """``mlflow server`` on loopback, with SQLite and files."""

    def __init__(self, root: Path) -> None:
        with socket.socket() as found:
            found.bind(("127.0.0.1", 0))
            self._port = found.getsockname()[1]
        self.uri = f"http://127.0.0.1:{self._port}"
        self._root = root
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        command = [sys.executable, "-m", "mlflow", "server", "--host", "127.0.0.1", "--port", str(self._port)]
        command += ["--workers", "1", "--backend-store-uri", f"sqlite:///{self._root / 'server.db'}"]
        command += ["--artifacts-destination", str(self._root / "artifacts")]
        switches = {"MLFLOW_DISABLE_TELEMETRY": "true", "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}
        with (self._root / "server.log").open("ab") as log:
            self._process = subprocess.Popen(
                command, stdout=log, stderr=log, env={**os.environ, **switches}, start_new_session=True
            )
        deadline = time.monotonic() + 400
        while True:
            try:
                urllib.request.urlopen(f"{self.uri}/health", timeout=5).close()
                return
            except OSError:
                assert self._process.poll() is None, (self._root / "server.log").read_text()
                assert time.monotonic() < deadline
                time.sleep(0.2)

    def kill(self) -> None:
        if self._process is not None:
            os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()
            self._process = None


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    root = tmp_path / "server"
    root.mkdir()
    server = Server(root)
    try:
        yield server
    finally:
        server.kill()


@pytest.fixture(autouse=True)
def own_folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TRACKIO_DIR", str(tmp_path / "trackio"))
    for name in ("WANDB_CACHE_DIR", "WANDB_CONFIG_DIR", "WANDB_DATA_DIR"):
        monkeypatch.setenv(name, str(tmp_path / "wandb"))
    monkeypatch.delenv("WANDB_SERVICE", raising=False)


def write_config(name: str, **changes: Any) -> Path:
    path = Path(f"{name}.yaml")
    path.write_text(yaml.safe_dump({**CONFIG, **changes}))
    return path


StartTraining = Callable[[Path, str], "subprocess.Popen[bytes]"]


@pytest.fixture
def start_training() -> Iterator[StartTraining]:
    """Start a process that begins a run, or resumes it; it is ended with the test."""
    processes: list[subprocess.Popen[bytes]] = []

    def start(path: Path, run_dir: str) -> subprocess.Popen[bytes]:
        command = [sys.executable, "-m", "sb3_ext", "train", str(path), "--run-dir", run_dir, "--resume", "--quiet"]
        processes.append(subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT))
        return processes[-1]

    yield start
    for process in processes:
        process.kill()
        process.communicate()


def wait_for_step(run_dir: str, step: int, process: subprocess.Popen[bytes]) -> None:
    checkpoints = Path(run_dir) / "checkpoints"
    deadline = time.monotonic() + 400
    while not any(int(path.name[5:]) >= step for path in checkpoints.glob("step_*") if path.name[5:].isdigit()):
        assert process.poll() is None, process.stdout and process.stdout.read().decode()
        assert time.monotonic() < deadline
        time.sleep(0.02)


def read_mlflow(client: MlflowClient, experiment: str) -> dict[str, list[tuple[int, float]]]:
    found = client.get_experiment_by_name(experiment)
    [run] = client.search_runs([found.experiment_id])
    return {
        name: [(entry.step, entry.value) for entry in client.get_metric_history(run.info.run_id, name)]
        for name in run.data.metrics
        if not name.startswith(NOT_REPEATED)
    }


def read_wandb(run: Run) -> dict[str, list[tuple[int, float]]]:
    history: dict[str, list[tuple[int, float]]] = {}
    rows = sorted(read_history(run.paths.root / "tracking", run.trackers["wandb"]), key=lambda row: row["_step"])
    assert [row["_step"] for row in rows] == [*range(len(rows))]
    for row in rows:
        for name, value in row.items():
            if not name.startswith((*NOT_REPEATED, "_", "global_step")):
                history.setdefault(name, []).append((row["global_step"], value))
    return history


def read_trackio(run: Run) -> dict[str, list[tuple[int, float]]]:
    code = (
        "import json, sys\nfrom trackio.sqlite_storage import SQLiteStorage\n"
        "print(json.dumps(SQLiteStorage.get_logs('sb3_ext', run_id=sys.argv[1])))"
    )
    command = [sys.executable, "-c", code, run.trackers["trackio"]]
    found = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    history: dict[str, list[tuple[int, float]]] = {}
    for entry in yaml.safe_load(found):
        for name, value in entry.items():
            if not name.startswith((*NOT_REPEATED, "step", "timestamp")) and name != "log_id":
                history.setdefault(name, []).append((entry["step"], value))
    return history


def test_killed_five_times_a_run_is_one_run_in_each_tracker(server: Server, start_training: StartTraining) -> None:
    server.start()
    trackers = {"mlflow": {"tracking_uri": server.uri}, "wandb": {"mode": "offline"}, "trackio": {}}
    runs = {}
    for name, kills in (("whole", ()), ("killed", (512, 1024, 1536, 2048, 2560))):
        mlflow = {**trackers["mlflow"], "experiment": name}
        path = write_config(name, tracking={**trackers, "mlflow": mlflow})
        for step in kills:
            process = start_training(path, name)
            wait_for_step(name, step, process)
            below = psutil.Process(process.pid).children(recursive=True)
            process.kill()
            process.wait()
            psutil.wait_procs(below, timeout=30)
        process = start_training(path, name)
        output, _ = process.communicate(timeout=600)
        assert process.returncode == 0, output.decode()
        runs[name] = Run(Path(name))

    client = MlflowClient(server.uri)
    assert len(runs["killed"].stretches) == 6
    whole = read_mlflow(client, "whole")
    assert {"train/loss", "eval/mean_return", "rollout/ep_rew_mean"} <= whole.keys()
    assert read_mlflow(client, "killed") == whole
    assert read_wandb(runs["killed"]) == read_wandb(runs["whole"]) == whole
    assert read_trackio(runs["killed"]) == read_trackio(runs["whole"]) == whole


def test_a_server_that_is_down_at_the_start_and_killed_in_the_middle_misses_nothing(
    server: Server, start_training: StartTraining
) -> None:
    path = write_config("mine", tracking={"mlflow": {"tracking_uri": server.uri, "experiment": "mine"}})
    process = start_training(path, "mine")
    wait_for_step("mine", 512, process)
    server.start()
    server.kill()
    output, _ = process.communicate(timeout=600)
    assert process.returncode == 0, output.decode()
    assert output.decode().count("tracker mlflow: ") == 1, output.decode()

    server.start()
    synced = CliRunner().invoke(cli, ["runs", "sync", "mine"])
    assert synced.exit_code == 0, synced.output
    run, client = sb3_ext.load_run("mine"), MlflowClient(server.uri)
    [found] = client.search_runs([client.get_experiment_by_name("mine").experiment_id])
    assert (found.info.status, found.data.tags["stop_reason"]) == ("FINISHED", "total_steps")
    assert found.data.params["agent.params.n_steps"] == "32"
    history = read_mlflow(client, "mine")
    training = run.metrics["training"]
    logged = [(step, loss) for step, loss in zip(training["step"], training["train/loss"], strict=True) if loss]
    assert history["train/loss"] == logged
    assert [step for step, _ in history["eval/mean_return"]] == [512, 1024, 1536, 2048, 2560, 3072]


CARTPOLE: dict[str, Any] = {
    "seed": 1,
    "env": {"id": "CartPole-v1"},
    "parallel": {"num_envs": 8, "mode": "sequential"},
    "agent": {
        "id": "ppo",
        "threads": 1,
        "params": {"n_steps": 32, "batch_size": 256, "learning_rate": "linear(1e-3)", "n_epochs": 20},
    },
    "train": {"total_steps": 100_000},
    "eval": {"every_steps": 5000, "episodes": 20},
    "early_stopping": {"target": {"return": 400, "by": "evaluation", "window": 1, "patience": 1}},
}
CONNECT4: dict[str, Any] = {
    "seed": 1,
    "game": {"id": "connect4"},
    "parallel": {"num_envs": 8},
    "agent": {"id": "maskable_ppo", "threads": 1, "params": {"n_steps": 64, "batch_size": 64}},
    "train": {"total_steps": 8192, "opponent_sampler": {"type": "random"}},
    "eval": {"every_steps": 2048, "episodes": 20},
}

FRESH = """
import sys

import mlflow

from sb3_ext.building.training_environments import choose_eval_seed, make_eval_env
from sb3_ext.config import load_config
from sb3_ext.evaluation.evaluate import evaluate

model = mlflow.pyfunc.load_model("models:/fresh@best")

class RegisteredAgent:
    def predict(self, observation, state=None, episode_start=None, deterministic=False, action_masks=None):
        given = observation if action_masks is None else {"observation": observation, "action_mask": action_masks}
        return model.predict(given), None

config = load_config("fresh/config.resolved.yaml")
if config.env is not None:
    config = config.model_copy(update={"env": config.env.model_copy(update={"normalize": False})})
env = make_eval_env(config)
print(evaluate(RegisteredAgent(), env, 20, seed=choose_eval_seed(config)).mean_return)
"""


@pytest.mark.parametrize(
    ("config", "reason"),
    [
        (CARTPOLE, "converged"),
        ({**CARTPOLE, "env": {"id": "CartPole-v1", "normalize": True}}, "converged"),
        (CONNECT4, "total_steps"),
    ],
    ids=["plain", "VecNormalize", "masks"],
)
def test_a_fresh_process_scores_with_raw_observations_what_the_evaluation_says(
    server: Server, monkeypatch: pytest.MonkeyPatch, config: dict[str, Any], reason: str
) -> None:
    server.start()
    monkeypatch.setenv("MLFLOW_TRACKING_URI", server.uri)
    tracking = {"mlflow": {"register": "fresh", "experiment": "fresh"}}
    run = sb3_ext.train({**config, "tracking": tracking}, run_dir="fresh")

    assert run.record.stop_reason == reason
    client = MlflowClient(server.uri)
    kind, seed = config["agent"]["id"], config["seed"]
    experiment = client.get_experiment_by_name("fresh").experiment_id
    [found] = client.search_runs([experiment], f"params.`agent.id` = '{kind}' and params.seed = '{seed}'")
    assert found.data.tags["stop_reason"] == reason
    evaluations = [entry.value for entry in client.get_metric_history(found.info.run_id, "eval/mean_return")]
    version = client.get_model_version_by_alias("fresh", "best")
    assert version.run_id == found.info.run_id
    best = float(version.tags["evaluation_return"])
    assert best == max(evaluations)
    output = subprocess.run([sys.executable, "-c", FRESH], capture_output=True, text=True, check=True).stdout
    assert float(output.splitlines()[-1]) == pytest.approx(best)
