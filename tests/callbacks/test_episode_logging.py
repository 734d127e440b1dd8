from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from stable_baselines3.common.base_class import BaseAlgorithm
from stable_baselines3.common.logger import KVWriter, Logger

from sb3_ext.callbacks import EpisodeLoggingCallback

MakeModel = Callable[..., BaseAlgorithm]


class DumpRecorder(KVWriter):
    def __init__(self) -> None:
        self.dumps: list[tuple[int, dict[str, Any]]] = []

    @property
    def steps(self) -> list[int]:
        return [step for step, _ in self.dumps]

    def write(self, key_values: dict[str, Any], key_excluded: dict[str, tuple[str, ...]], step: int = 0) -> None:
        self.dumps.append((step, dict(key_values)))

    def close(self) -> None:
        pass


def record_dumps(model: BaseAlgorithm, steps: int, callback: EpisodeLoggingCallback) -> DumpRecorder:
    recorder = DumpRecorder()
    model.set_logger(Logger(None, [recorder]))
    model.learn(steps, callback=callback, log_interval=None)
    return recorder


def test_logs_every_algorithm(algorithm: str, make_model: MakeModel) -> None:
    model = make_model(algorithm)
    recorder = record_dumps(model, 80, EpisodeLoggingCallback(4))
    assert len(recorder.dumps) >= 3
    assert recorder.steps == sorted(set(recorder.steps))
    assert recorder.steps[-1] == model.num_timesteps
    for _, values in recorder.dumps:
        assert values["rollout/ep_len_mean"] == 5
        assert "time/eta_seconds" not in values
    assert "train/learning_rate" in recorder.dumps[-1][1]


@pytest.mark.parametrize(
    ("algorithm", "every_episodes", "steps"),
    [
        # Rollouts of DQN have 4 steps and those of PPO 16, episodes have 5.
        ("dqn", 2, [12, 20, 32, 40, 52, 60]),
        ("dqn", 100, [60]),
        ("ppo", 1, [16, 32, 48, 64]),
        ("ppo", 4, [32, 48, 64]),
        ("ars", 3, [20, 40, 60]),
    ],
)
def test_dumps_at_the_boundary_after_the_interval_of_episodes(
    algorithm: str, every_episodes: int, steps: list[int], make_model: MakeModel
) -> None:
    assert record_dumps(make_model(algorithm), 60, EpisodeLoggingCallback(every_episodes)).steps == steps


def test_does_not_wait_for_an_endless_episode(make_model: MakeModel) -> None:
    model = make_model("dqn", episode_steps=(1000, 1000))
    recorder = record_dumps(model, 100, EpisodeLoggingCallback(1, every_steps=30))
    assert recorder.steps == [32, 64, 96, 100]


def test_logs_the_preceding_update(make_model: MakeModel) -> None:
    recorder = record_dumps(make_model("ppo"), 48, EpisodeLoggingCallback(1))
    assert [values["train/n_updates"] for _, values in recorder.dumps] == [2, 4, 6]


def test_logs_the_time_left_if_the_total_is_known(make_model: MakeModel) -> None:
    recorder = record_dumps(make_model("ppo"), 48, EpisodeLoggingCallback(1, total_steps=48))
    etas = [values["time/eta_seconds"] for _, values in recorder.dumps]
    assert etas[0] > etas[-1] == 0


def test_resume_keeps_the_interval(make_model: MakeModel) -> None:
    callback = EpisodeLoggingCallback(10)
    callback.load_state_dict({"episodes": 18})
    assert record_dumps(make_model("dqn"), 40, callback).steps == [12, 40]


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"every_episodes": 0}, "every_episodes must be positive, but got 0"),
        ({"every_steps": -1}, "every_steps must be positive, but got -1"),
    ],
)
def test_refuses_an_interval_that_is_not_positive(params: dict[str, int], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        EpisodeLoggingCallback(**params)
