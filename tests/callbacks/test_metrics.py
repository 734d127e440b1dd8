from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from stable_baselines3.common.base_class import BaseAlgorithm
from stable_baselines3.common.callbacks import BaseCallback, StopTrainingOnMaxEpisodes
from stable_baselines3.common.logger import Logger

from sb3_ext.callbacks import EpisodeLoggingCallback, MetricsCallback, QValuesCallback

MakeModel = Callable[..., BaseAlgorithm]


def read_json(path: Path) -> Any:
    return json.loads(path.read_text())


def test_records_every_episode_of_every_algorithm(algorithm: str, make_model: MakeModel, tmp_path: Path) -> None:
    path = tmp_path / "metrics.json"
    model = make_model(algorithm).learn(40, callback=MetricsCallback(path))
    content = read_json(path)
    episodes = content["episodes"]
    count = model.num_timesteps // 5
    assert episodes["length"] == [5] * count
    if algorithm != "ars":
        assert episodes["step"] == list(range(5, model.num_timesteps + 1, 5))
    known = [episode["r"] for episode in model.ep_info_buffer]
    assert episodes["return"][-len(known) :] == pytest.approx(known)
    assert episodes["elapsed_seconds"] == sorted(episodes["elapsed_seconds"])
    assert content["summary"]["step"] == model.num_timesteps
    assert content["summary"]["episode"] == count


def test_records_dumped_values(make_model: MakeModel, tmp_path: Path) -> None:
    path = tmp_path / "metrics.json"
    callbacks = [QValuesCallback(1), EpisodeLoggingCallback(2, total_steps=100), MetricsCallback(path)]
    make_model("dqn").learn(100, callback=callbacks, log_interval=None)
    training = read_json(path)["training"]
    assert training["step"] == [12, 20, 32, 40, 52, 60, 72, 80, 92, 100]
    for name in ("rollout/exploration_rate", "time/fps", "time/time_elapsed", "rollout/ep_rew_mean"):
        assert None not in training[name]
    for name in ("train/loss", "train/learning_rate", "train/mean_q", "train/td_error"):
        assert training[name][0] is None
        assert None not in training[name][3:]
    assert training["time/eta_seconds"][-1] == 0


def test_summary_describes_the_training(make_model: MakeModel) -> None:
    callback = MetricsCallback()
    make_model("ppo").learn(64, callback=callback)
    summary = callback.summarize()
    assert summary["step"] == 64
    assert summary["episode"] == 12
    assert summary["fps"] == pytest.approx(64 / summary["elapsed_seconds"], rel=0.5)
    assert summary["best_episode_return_mean"] == summary["episode_return_mean"]


def test_removes_its_writer_from_the_logger(make_model: MakeModel) -> None:
    logger = Logger(None, [])
    model = make_model("ppo")
    model.set_logger(logger)
    model.learn(16, callback=MetricsCallback())
    assert logger.output_formats == []


def test_can_be_saved_before_the_end(make_model: MakeModel, tmp_path: Path) -> None:
    callback = MetricsCallback(tmp_path / "metrics.json")

    class Break(BaseCallback):
        def _on_step(self) -> bool:
            if self.num_timesteps == 7:
                raise RuntimeError
            return True

    with pytest.raises(RuntimeError):
        make_model("dqn").learn(100, callback=[callback, Break()])
    assert not (tmp_path / "metrics.json").exists()
    callback.sections["timings"] = {"collecting": 1.0}
    callback.save()
    content = read_json(tmp_path / "metrics.json")
    assert content["summary"]["step"] == 7
    assert content["timings"] == {"collecting": 1.0}


def test_writes_nothing_without_a_path(make_model: MakeModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    make_model("ppo").learn(16, callback=MetricsCallback())
    assert list(tmp_path.iterdir()) == []


def test_resume_continues_the_history(make_model: MakeModel, tmp_path: Path) -> None:
    first = MetricsCallback()
    model = make_model("dqn").learn(40, callback=[StopTrainingOnMaxEpisodes(4), EpisodeLoggingCallback(1), first])
    second = MetricsCallback(tmp_path / "metrics.json")
    second.load_state_dict(first.state_dict())
    model.learn(20, callback=[EpisodeLoggingCallback(1), second], reset_num_timesteps=False)
    content = read_json(tmp_path / "metrics.json")
    assert content["episodes"]["step"] == [5, 10, 15, 20, 25, 30, 35, 40]
    assert content["training"]["step"] == sorted(content["training"]["step"])
    assert content["summary"]["step"] == 40
    assert content["summary"]["elapsed_seconds"] > first.summarize()["elapsed_seconds"]


def test_a_file_that_cannot_be_written_does_not_end_the_training(
    make_model: MakeModel, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    callback = MetricsCallback(tmp_path / "missing" / "metrics.json")
    model = make_model("ppo").learn(32, callback=callback)
    assert model.num_timesteps == 32
    assert "metrics.json cannot be written: No such file or directory" in caplog.text
    with pytest.raises(FileNotFoundError):
        callback.save()
