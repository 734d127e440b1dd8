"""Runs whose updates an engine computes: exact when resumed, and approximate when resumed with another engine."""

from __future__ import annotations

import dataclasses
import hashlib
import itertools
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from stable_baselines3.common.callbacks import BaseCallback

import sb3_ext
from sb3_ext import ConfigError, resume, train
from sb3_ext.checkpoints.bundle.manifest import FileEntry, render_manifest
from sb3_ext.checkpoints.state.algorithm_state import read_engine_id, read_threads
from sb3_ext.checkpoints.store.checkpoint_store import CheckpointStore
from sb3_ext.config import load_config
from sb3_ext.engines import engine
from sb3_ext.errors import MissingExtraError
from sb3_ext.runs.run import Run

PARAMS: dict[str, dict[str, Any]] = {
    "a2c": {"n_steps": 8},
    "dqn": {"learning_starts": 20, "batch_size": 8, "buffer_size": 100, "train_freq": 4, "gradient_steps": 3},
    "ppo": {"n_steps": 16, "batch_size": 16, "n_epochs": 2, "learning_rate": "linear(1e-3)"},
    "sac": {"learning_starts": 20, "batch_size": 8, "buffer_size": 100, "train_freq": 4, "gradient_steps": 3},
}


class StopCallback(BaseCallback):
    """Stops the training at a step."""

    def __init__(self, step: int) -> None:
        super().__init__()
        self._step = step

    def _on_step(self) -> bool:
        return self.num_timesteps < self._step


@pytest.fixture(autouse=True)
def in_tmp_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def make_config(algorithm: str = "ppo", engine_id: str = "xla") -> dict[str, Any]:
    params = {**PARAMS[algorithm], "policy_kwargs": {"net_arch": [8]}}
    return {
        "seed": 1,
        "env": {"id": "Pendulum-v1" if algorithm == "sac" else "CartPole-v1", "max_steps": 30},
        "parallel": {"mode": "sequential", "num_envs": 2},
        "agent": {"id": algorithm, "threads": 1, "device": "cpu", "engine": engine_id, "params": params},
        "train": {"total_steps": 192, "callbacks": [{"type": "checkpoint", "params": {"interval": 64}}]},
        "eval": {"every_steps": None, "episodes": 1},
    }


def hash_weights(run: Run) -> str:
    model: Any = sb3_ext.load(run.paths.checkpoints / "latest")
    optimizer = getattr(model.policy, "optimizer", None) or model.actor.optimizer
    tensors = {**model.policy.state_dict(), **dict(enumerate_state(optimizer.state_dict()["state"]))}
    digest = hashlib.sha256()
    for name, tensor in sorted(tensors.items()):
        digest.update(name.encode() + np.asarray(tensor).tobytes())
    return digest.hexdigest()


def enumerate_state(state: dict[int, dict[str, Any]]) -> Any:
    return ((f"{place}.{name}", value) for place, entry in state.items() for name, value in entry.items())


@pytest.mark.parametrize(
    ("algorithm", "engine_id"),
    [
        ("ppo", "xla"),
        ("dqn", "torch"),
        *(pytest.param(*case, marks=pytest.mark.slow) for case in (("dqn", "xla"), ("ppo", "torch"))),
        *(pytest.param(*case, marks=pytest.mark.slow) for case in itertools.product(("sac", "a2c"), ("torch", "xla"))),
    ],
)
def test_a_resumed_run_is_the_same_bit_for_bit(algorithm: str, engine_id: str) -> None:
    whole = train(make_config(algorithm, engine_id), run_dir="whole")
    train(make_config(algorithm, engine_id), run_dir="parts", callback=StopCallback(100))
    parts = resume("parts", overrides=["agent.engine=auto", "agent.threads=auto"])  # which keeps what the run has
    resolved = yaml.safe_load(parts.paths.resolved_config.read_text())
    assert resolved["agent"]["engine"] == engine_id
    assert parts.record.step == whole.record.step
    assert hash_weights(parts) == hash_weights(whole)
    [line] = parts.paths.resumes.read_text().splitlines()
    assert "approximate" not in json.loads(line)


@pytest.mark.parametrize(
    ("before", "after"), [("xla", "stock"), ("stock", "torch"), pytest.param("torch", "xla", marks=pytest.mark.slow)]
)
def test_a_resume_with_another_engine_is_approximate(before: str, after: str) -> None:
    train(make_config(engine_id=before), run_dir="run", callback=StopCallback(100))
    run = resume("run", overrides=[f"agent.engine={after}"])
    assert run.status == "completed"
    [line] = run.paths.resumes.read_text().splitlines()
    reason = f"the engine {before} has computed the updates until now, and {after} does from now on"
    assert json.loads(line)["approximate"] == reason
    assert yaml.safe_load(run.paths.resolved_config.read_text())["agent"]["engine"] == after


def test_a_resume_with_another_number_of_threads_is_approximate() -> None:
    train(make_config(engine_id="torch"), run_dir="run", callback=StopCallback(100))
    run = resume("run", overrides=["agent.threads=2"])
    [line] = run.paths.resumes.read_text().splitlines()
    reason = "torch has used 1 threads until now, and uses 2 from now on"
    assert json.loads(line)["approximate"] == reason
    latest = CheckpointStore(run.paths.checkpoints).find_latest()
    assert latest is not None
    assert read_threads(latest.read_state()) == 2


@pytest.mark.parametrize(("overrides", "engine_id"), [((), "stock"), (("agent.engine=torch",), "torch")])
def test_a_run_whose_engine_was_called_torch_when_that_was_stock_keeps_it(
    overrides: tuple[str, ...], engine_id: str
) -> None:
    train(make_config(engine_id="stock"), run_dir="run", callback=StopCallback(100))
    make_earlier(Run(Path("run")))
    run = resume("run", overrides=overrides)
    assert yaml.safe_load(run.paths.resolved_config.read_text())["agent"]["engine"] == engine_id
    [line] = run.paths.resumes.read_text().splitlines()
    assert ("approximate" in json.loads(line)) == (engine_id == "torch")
    latest = CheckpointStore(run.paths.checkpoints).find_latest()
    assert latest is not None
    assert read_engine_id(latest.read_state()) == engine_id


def make_earlier(run: Run) -> None:
    """Rewrite a run as the versions did in which ``torch`` was the name of stock."""
    config = yaml.safe_load(run.paths.resolved_config.read_text())
    config["agent"]["engine"] = "torch"
    run.paths.resolved_config.write_text(yaml.safe_dump(config))
    latest = CheckpointStore(run.paths.checkpoints).find_latest()
    assert latest is not None
    values_path = latest.path / "state" / "values.json"
    values = json.loads(values_path.read_text())
    values["algorithm"]["engine"] = "torch"
    content = json.dumps(values).encode()
    values_path.write_bytes(content)
    entry = FileEntry(len(content), hashlib.sha256(content).hexdigest())
    files = {**latest.manifest.files, "state/values.json": entry}
    manifest = dataclasses.replace(latest.manifest, format=2, files=files)
    (latest.path / "manifest.json").write_text(render_manifest(manifest))


def test_a_missing_extra_is_said_before_a_run_is_begun_or_resumed(monkeypatch: pytest.MonkeyPatch) -> None:
    train(make_config(engine_id="torch"), run_dir="run", callback=StopCallback(100))
    monkeypatch.setattr(engine, "find_spec", lambda module: None)
    with pytest.raises(MissingExtraError, match=r"pip install 'sb3-ext\[xla\]'"):
        train(make_config(), run_dir="new")
    assert not Path("new").exists()
    with pytest.raises(MissingExtraError, match=r"pip install 'sb3-ext\[xla\]'"):
        resume("run", overrides=["agent.engine=xla"])


def test_a_mistake_in_the_name_is_reported_with_its_line(tmp_path: Path) -> None:
    Path("my.yaml").write_text("env: {id: CartPole-v1}\nagent:\n  id: ppo\n  engine: xlla\n")
    with pytest.raises(ConfigError, match=r"my\.yaml:4: agent\.engine: unknown engine 'xlla'; did you mean 'xla'\?"):
        load_config("my.yaml")
