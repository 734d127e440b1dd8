"""Trackers in a script with SB3's own `learn`: one service in memory, and the real clients."""

from __future__ import annotations

import logging
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from stable_baselines3 import PPO
from stable_baselines3.common.callbacks import BaseCallback

from sb3_ext.callbacks import (
    EvaluationCallback,
    MlflowCallback,
    RunCheckpointCallback,
    TrackerCallback,
    TrackioCallback,
    WandbCallback,
)
from sb3_ext.errors import ConfigError, MissingExtraError, Sb3ExtError

from .conftest import Service, ServiceTracker


def make_model() -> PPO:
    params: dict[str, Any] = {"n_steps": 16, "batch_size": 8, "n_epochs": 1, "policy_kwargs": {"net_arch": [8]}}
    return PPO("MlpPolicy", "CartPole-v1", seed=1, device="cpu", **params)


class StopAt(BaseCallback):
    def __init__(self, step: int, error: BaseException | None = None) -> None:
        super().__init__()
        self._step, self._error = step, error

    def _on_step(self) -> bool:
        if self.num_timesteps >= self._step and self._error is not None:
            raise self._error
        return self.num_timesteps < self._step


def find_end(service: Service, run_id: str = "run-0") -> tuple[Any, ...]:
    return service.runs[run_id][-1]


def test_values_parameters_files_and_the_end_are_logged(tmp_path: Path, service: Service) -> None:
    parameters: dict[str, Any] = {}

    class OwnTracker(ServiceTracker):
        def log_parameters(self, given: Any) -> None:
            parameters.update(given)

    (tmp_path / "a.txt").write_text("text")
    callback = TrackerCallback(tmp_path, OwnTracker(service), parameters={"team": "a"}, artifacts=["*.txt", "*.gif"])
    make_model().learn(64, callback=callback, log_interval=1)

    _, first, *_ = metrics = [entry for entry in service.runs["run-0"] if entry[0] == "metrics"]
    assert service.get_steps() == [16, 32, 48, 64]
    assert {"train/loss", "rollout/ep_rew_mean", "episode/return_mean"} <= {
        name for entry in metrics for name in entry[2]
    }
    assert first[2]["episode/count"] >= 1
    assert (parameters["algorithm"], parameters["params"]["n_steps"], parameters["team"]) == ("PPO", 16, "a")
    artifact, end = service.runs["run-0"][-2:]
    assert artifact[:2] == ("artifact", "a.txt")
    assert end[:2] == ("finish", "completed")
    assert (end[2]["stop_reason"], end[2]["final_step"]) == ("total_steps", 64)
    assert callback.url == "memory://run-0"


def test_each_training_is_a_run_and_one_that_goes_on_is_the_same(tmp_path: Path, service: Service) -> None:
    callback, model = TrackerCallback(tmp_path, ServiceTracker(service)), make_model()
    model.learn(32, callback=[callback, StopAt(20)], log_interval=1)
    assert find_end(service)[1:] == ("stopped", {"stop_reason": "callback", "final_step": 20, "episodes": 1})
    model.learn(32, callback=callback, log_interval=1, reset_num_timesteps=False)
    model.learn(16, callback=callback, log_interval=1)
    assert service.runs.keys() == {"run-0", "run-1"}
    assert (service.get_steps("run-0"), service.get_steps("run-1")) == ([16, 36, 52], [16])
    assert [path.name for path in (tmp_path / "tracking").iterdir()] == ["tracker-2"]


def test_a_resumed_training_continues_its_run_without_a_duplicate_step(tmp_path: Path, service: Service) -> None:
    for total, has_crashed in ((64, True), (96, False)):
        model = make_model()
        checkpoints = RunCheckpointCallback(tmp_path / "checkpoints", interval=32)
        callback = TrackerCallback(tmp_path, ServiceTracker(service))
        steps = checkpoints.resume_if_possible(model, total)
        callbacks: list[BaseCallback] = [callback, checkpoints]
        if has_crashed:
            callbacks.insert(0, StopAt(60, ValueError("broken")))
            with pytest.raises(ValueError, match="broken"):
                model.learn(steps, callback=callbacks, log_interval=1, reset_num_timesteps=False)
            callback.finish_after_error(ValueError("broken"))
        else:
            assert model.num_timesteps == 32
            model.learn(steps, callback=callbacks, log_interval=1, reset_num_timesteps=False)
        checkpoints.close()

    assert service.runs.keys() == {"run-0"}
    assert service.get_steps() == [16, 32, 48, 64, 80, 96]
    ends = [entry for entry in service.runs["run-0"] if entry[0] == "finish"]
    assert [entry[1] for entry in ends] == ["failed", "completed"]
    assert ends[0][2]["stop_reason"].startswith("error: ValueError: broken")


def test_the_final_evaluation_belongs_to_the_run(tmp_path: Path, service: Service) -> None:
    model = make_model()
    evaluation = EvaluationCallback(lambda: make_model().get_env(), every_steps=None, episodes=1)
    model.learn(16, callback=[TrackerCallback(tmp_path, ServiceTracker(service)), evaluation], log_interval=1)
    assert find_end(service)[0] != "finish"
    evaluation.finish()
    evaluation.close()
    assert "eval/mean_return" in [entry for entry in service.runs["run-0"] if entry[0] == "metrics"][-1][2]
    assert find_end(service)[2]["best_return"] == evaluation.best_return


def test_a_service_that_is_down_costs_a_warning_and_gets_the_values_later(
    tmp_path: Path, service: Service, caplog: pytest.LogCaptureFixture
) -> None:
    service.error = ConnectionError("no route to host")
    make_model().learn(32, callback=TrackerCallback(tmp_path, ServiceTracker(service)), log_interval=1)
    [warning] = [record.getMessage() for record in caplog.records if record.levelno == logging.WARNING]
    assert f'send them with `TrackerCallback("{tmp_path}", …).sync()`' in warning

    service.error = None
    callback = TrackerCallback(tmp_path, ServiceTracker(service))
    make_model().learn(16, callback=callback, log_interval=1)
    assert "an earlier training has ended without sending everything" in caplog.text
    assert service.get_steps() == [16]
    [outcome] = callback.sync()
    assert (outcome.sent, outcome.left) == (3, 0)
    assert service.get_steps("run-1") == [16, 32]
    assert callback.sync() == []


def test_a_refusal_is_raised_before_training_and_leaves_nothing(tmp_path: Path, service: Service) -> None:
    service.error = Sb3ExtError("no permission")
    model = make_model()
    with pytest.raises(Sb3ExtError, match="no permission"):
        model.learn(32, callback=TrackerCallback(tmp_path / "mine", ServiceTracker(service)))
    assert model.num_timesteps == 0
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: MlflowCallback("a", tracking_uri="http://me:secret@host"), "tracking_uri: contains a password"),
        (lambda: WandbCallback("a", mode="off"), "mode: expected online, offline or disabled"),  # type: ignore[arg-type]
        (lambda: TrackioCallback("a", project="my_system"), "Project name 'my_system' is not allowed"),
    ],
)
def test_wrong_arguments_are_refused(make: Any, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        make()


def test_missing_extras_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    for callback, extra in ((MlflowCallback, "mlflow"), (WandbCallback, "wandb"), (TrackioCallback, "trackio")):
        with pytest.raises(MissingExtraError, match=rf"pip install 'sb3-ext\[{extra}\]'"):
            callback("a")


SCRIPT = """
from stable_baselines3 import PPO
from stable_baselines3.common.callbacks import BaseCallback
from sb3_ext.callbacks import MlflowCallback, TrackioCallback, WandbCallback

class Failing(BaseCallback):
    def _on_step(self):
        raise ZeroDivisionError("broken")

model = PPO("MlpPolicy", "CartPole-v1", n_steps=64, device="cpu")
callbacks = [MlflowCallback("runs/mine"), WandbCallback("runs/mine", mode="offline"), TrackioCallback("runs/mine")]
model.learn(128, callback=callbacks, log_interval=1)
model.learn(128, callback=[*callbacks, Failing()], log_interval=1)
"""


@pytest.mark.slow
def test_a_script_with_all_three_services_that_fails_is_marked_as_failed(tmp_path: Path) -> None:
    from mlflow import MlflowClient

    folders = {name: str(tmp_path / name) for name in ("WANDB_CACHE_DIR", "WANDB_CONFIG_DIR", "WANDB_DATA_DIR")}
    environment = {**os.environ, **folders, "TRACKIO_DIR": str(tmp_path / "trackio")}
    environment.pop("WANDB_SERVICE", None)
    ended = subprocess.run(
        [sys.executable, "-c", SCRIPT], cwd=tmp_path, env=environment, capture_output=True, text=True
    )
    assert ended.returncode == 1
    assert "ZeroDivisionError" in ended.stderr

    client = MlflowClient(f"sqlite:///{tmp_path / 'runs' / 'mlflow.db'}")
    failed, completed = client.search_runs([client.get_experiment_by_name("sb3_ext").experiment_id])
    assert (completed.info.status, completed.data.tags["stop_reason"]) == ("FINISHED", "total_steps")
    assert completed.data.params["params.n_steps"] == "64"
    history = client.get_metric_history(completed.info.run_id, "episode/count")
    assert [item.step for item in history] == [64, 128]
    assert failed.info.status == "FAILED"
    assert failed.data.tags["stop_reason"].startswith("error: ZeroDivisionError")
    assert len(list(tmp_path.glob("runs/mine/tracking/wandb/offline-run-*/*.wandb"))) == 2
