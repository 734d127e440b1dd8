from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from stable_baselines3 import A2C
from stable_baselines3.common.env_util import make_vec_env
from stable_baselines3.common.logger import Figure, Logger, TensorBoardOutputFormat
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from sb3_ext.checkpoints.state.captured_state import CapturedState
from sb3_ext.checkpoints.state.logger_state import capture_logger, restore_logger


def make_model(folder: Path) -> A2C:
    model = A2C("MlpPolicy", make_vec_env("CartPole-v1"), policy_kwargs={"net_arch": [4]}, device="cpu")
    model.set_logger(Logger(folder=None, output_formats=[TensorBoardOutputFormat(str(folder))]))
    return model


def log_curve(model: A2C, steps: range, value: float) -> None:
    for step in steps:
        model.logger.record("curve", value)
        model.logger.dump(step)


def test_values_not_dumped_yet_are_restored_with_their_types(tmp_path: Path) -> None:
    model = make_model(tmp_path)
    model.logger.record("loss", np.float32(0.1))
    model.logger.record("updates", 3, exclude="tensorboard")
    model.logger.record("weights", torch.zeros(2))
    model.logger.record("picture", Figure(object(), close=True))
    model.logger.record_mean("mean", 1.0)
    model.logger.record_mean("mean", 2.0)
    captured = CapturedState()
    capture_logger(model, captured)

    resumed = make_model(tmp_path)
    resumed.logger.record("something", "else")
    restore_logger(resumed, captured)
    assert resumed.logger.name_to_value == {"loss": np.float32(0.1), "updates": 3, "mean": 1.5}
    assert type(resumed.logger.name_to_value["loss"]) is np.float32
    assert resumed.logger.name_to_excluded["updates"] == ("tensorboard",)
    resumed.logger.record_mean("mean", 6.0)
    assert resumed.logger.name_to_value["mean"] == 3.0
    model.logger.close()
    resumed.logger.close()


def test_tensorboard_points_after_the_checkpoint_are_removed(tmp_path: Path) -> None:
    model = make_model(tmp_path)
    captured = CapturedState()
    log_curve(model, range(1, 6), value=1.0)
    capture_logger(model, captured)
    log_curve(model, range(6, 9), value=1.0)
    model.logger.close()

    resumed = make_model(tmp_path)
    resumed.num_timesteps = 5
    restore_logger(resumed, captured)
    log_curve(resumed, range(6, 8), value=2.0)
    resumed.logger.close()

    curve = EventAccumulator(str(tmp_path)).Reload().Scalars("curve")
    assert [(event.step, event.value) for event in curve] == [(1, 1), (2, 1), (3, 1), (4, 1), (5, 1), (6, 2), (7, 2)]
