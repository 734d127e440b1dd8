from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from stable_baselines3.common.base_class import BaseAlgorithm
from stable_baselines3.common.callbacks import BaseCallback
from stable_baselines3.common.logger import KVWriter, Logger
from stable_baselines3.common.save_util import recursive_getattr
from stable_baselines3.common.utils import FloatSchedule, LinearSchedule

from sb3_ext.callbacks import EpisodeLoggingCallback, LearningRateDecayCallback
from sb3_ext.errors import Sb3ExtError

MakeModel = Callable[..., BaseAlgorithm]

OPTIMIZERS = {
    **dict.fromkeys(["ppo", "a2c", "dqn", "maskable_ppo", "recurrent_ppo", "qrdqn", "trpo"], "policy.optimizer"),
    **dict.fromkeys(["sac", "td3", "ddpg", "tqc", "crossq"], "critic.optimizer"),
    "ars": None,
}


class UpdateRateRecorder(BaseCallback):
    """Keeps the rates that updates were made with, by the step at which they happened."""

    def __init__(self, optimizer: str) -> None:
        super().__init__()
        self._optimizer = optimizer
        self.rates: dict[int, float] = {}

    def _on_training_start(self) -> None:
        self._handle = recursive_getattr(self.model, self._optimizer).register_step_pre_hook(self._keep)

    def _on_step(self) -> bool:
        return True

    def _on_training_end(self) -> None:
        self._handle.remove()

    def _keep(self, optimizer: Any, arguments: Any, keywords: Any) -> None:
        self.rates[self.model.num_timesteps] = optimizer.param_groups[0]["lr"]


def record_update_rates(
    model: BaseAlgorithm, steps: int, callback: LearningRateDecayCallback, optimizer: str, **learn: Any
) -> dict[int, float]:
    recorder = UpdateRateRecorder(optimizer)
    model.learn(steps, callback=[recorder, callback], **learn)
    return recorder.rates


@pytest.mark.parametrize("name", [name for name, optimizer in OPTIMIZERS.items() if optimizer])
def test_updates_use_the_decayed_rate(name: str, make_model: MakeModel) -> None:
    optimizer = OPTIMIZERS[name]
    callback = LearningRateDecayCallback(30, decay_factor=0.5, min_lr=3e-4, optimizer_attr=optimizer)
    rates = record_update_rates(make_model(name, learning_rate=1e-3), 96, callback, optimizer)
    assert len(rates) >= 6
    assert rates == {step: max(3e-4, 1e-3 * 0.5 ** (step // 30)) for step in rates}
    assert set(rates.values()) == {1e-3, 5e-4, 3e-4}


def test_decays_the_rate_of_ars(make_model: MakeModel) -> None:
    model = make_model("ars", learning_rate=0.1)
    model.learn(60, callback=LearningRateDecayCallback(20, optimizer_attr=None))
    assert model.lr_schedule(0.0) == 0.1 * 0.5**3


def test_starts_from_the_first_value_of_a_schedule(make_model: MakeModel) -> None:
    model = make_model("ppo", learning_rate=LinearSchedule(0.01, 0.0, 1.0))
    callback = LearningRateDecayCallback(1000)
    assert set(record_update_rates(model, 48, callback, "policy.optimizer").values()) == {0.01}
    assert type(model.lr_schedule) is FloatSchedule


def test_logs_the_rate_of_the_chosen_optimizer(make_model: MakeModel) -> None:
    class Recorder(KVWriter):
        values: list[float] = []  # noqa: RUF012

        def write(self, key_values: dict[str, Any], key_excluded: dict[str, Any], step: int = 0) -> None:
            self.values.append(key_values["train/my_rate"])

        def close(self) -> None:
            pass

    recorder = Recorder()
    model = make_model("sac", learning_rate=0.01)
    model.set_logger(Logger(None, [recorder]))
    callback = LearningRateDecayCallback(30, optimizer_attr="actor.optimizer", metric_key="my_rate")
    model.learn(60, callback=[callback, EpisodeLoggingCallback(2)], log_interval=None)
    assert recorder.values[0] == 0.01
    assert recorder.values[-1] == 0.005


def test_resumed_rate_is_the_uninterrupted_one(make_model: MakeModel, tmp_path: Path) -> None:
    whole = record_update_rates(make_model("ppo"), 96, LearningRateDecayCallback(20), "policy.optimizer")
    model = make_model("ppo").learn(48, callback=LearningRateDecayCallback(20))
    model.save(tmp_path / "model.zip")
    resumed = type(model).load(tmp_path / "model.zip", model.get_env())
    callback = LearningRateDecayCallback(20)
    rates = record_update_rates(resumed, 48, callback, "policy.optimizer", reset_num_timesteps=False)
    assert rates == {step: rate for step, rate in whole.items() if step > 48}


@pytest.mark.parametrize(
    ("name", "attribute", "message"),
    [
        (
            "sac",
            "policy.optimizer",
            "SAC has no optimizer at optimizer_attr 'policy.optimizer'; its optimizers are at "
            "actor.optimizer, critic.optimizer, ent_coef_optimizer",
        ),
        ("ppo", "policy", "PPO has no optimizer at optimizer_attr 'policy'; its optimizers are at policy.optimizer"),
        ("ars", "policy.optimizer", "ARS has no optimizer .*; it has none: give null"),
    ],
)
def test_the_error_lists_the_optimizers(name: str, attribute: str, message: str, make_model: MakeModel) -> None:
    with pytest.raises(Sb3ExtError, match=message):
        make_model(name).learn(10, callback=LearningRateDecayCallback(10, optimizer_attr=attribute))


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"interval_steps": 0}, "interval_steps must be positive, but got 0"),
        ({"interval_steps": 1, "decay_factor": 2}, "decay_factor must be a number above 0 and at most 1, but got 2"),
        ({"interval_steps": 1, "min_lr": -1}, "min_lr cannot be negative, but got -1"),
    ],
)
def test_the_error_names_the_invalid_argument(params: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        LearningRateDecayCallback(**params)
