from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from stable_baselines3.common.base_class import BaseAlgorithm
from stable_baselines3.common.callbacks import BaseCallback
from stable_baselines3.common.utils import ConstantSchedule

from sb3_ext.callbacks import EpsilonDecayCallback
from sb3_ext.errors import Sb3ExtError

MakeModel = Callable[..., BaseAlgorithm]


class RateRecorder(BaseCallback):
    """Keeps the exploration rate that each action was chosen with, by the step that followed."""

    def __init__(self) -> None:
        super().__init__()
        self.rates: dict[int, float] = {}

    def _on_step(self) -> bool:
        self.rates[self.num_timesteps] = self.model.exploration_rate
        return True


def record_rates(model: BaseAlgorithm, steps: int, callback: EpsilonDecayCallback, **learn: Any) -> dict[int, float]:
    recorder = RateRecorder()
    # The recorder goes first: at its turn the rate is still that of the action.
    model.learn(steps, callback=[recorder, callback], **learn)
    return recorder.rates


@pytest.mark.parametrize("name", ["dqn", "qrdqn"])
def test_decays_at_every_step(name: str, make_model: MakeModel) -> None:
    rates = record_rates(make_model(name), 40, EpsilonDecayCallback("step", decay=0.9, min=0.05))
    assert rates == {step: max(0.05, 0.9 ** (step - 1)) for step in range(1, 41)}
    assert rates[40] == 0.05


def test_decays_after_every_episode(make_model: MakeModel) -> None:
    rates = record_rates(make_model("dqn"), 20, EpsilonDecayCallback("episode", decay=0.5, min=0.2))
    assert rates == {step: max(0.2, 0.5 ** ((step - 1) // 5)) for step in range(1, 21)}


def test_counts_the_steps_of_all_environments(make_model: MakeModel) -> None:
    rates = record_rates(make_model("dqn", num_envs=2), 16, EpsilonDecayCallback("step", decay=0.9, min=0.0))
    assert rates == {step: 0.9 ** (step - 2) for step in range(2, 17, 2)}


def test_starts_from_the_initial_rate_of_the_model(make_model: MakeModel) -> None:
    model = make_model("dqn", exploration_initial_eps=0.5)
    rates = record_rates(model, 4, EpsilonDecayCallback("step", decay=0.5, min=0.0))
    assert rates == {1: 0.5, 2: 0.25, 3: 0.125, 4: 0.0625}


@pytest.mark.parametrize("every", ["step", "episode"])
@pytest.mark.parametrize("restores_late", [True, False])
def test_resumed_rate_is_the_uninterrupted_one(
    every: Any, restores_late: bool, make_model: MakeModel, tmp_path: Path
) -> None:
    whole = record_rates(make_model("dqn"), 32, EpsilonDecayCallback(every, decay=0.9))
    first, second = EpsilonDecayCallback(every, decay=0.9), EpsilonDecayCallback(every, decay=0.9)
    model = make_model("dqn")
    record_rates(model, 20, first)
    model.save(tmp_path / "model.zip")
    resumed = type(model).load(tmp_path / "model.zip", model.get_env())
    if restores_late:

        class RestoreAtFirstRollout(BaseCallback):
            def _on_step(self) -> bool:
                return True

            def _on_rollout_start(self) -> None:
                if self.n_calls == 0:
                    second.load_state_dict(first.state_dict())

        recorder = RateRecorder()
        resumed.learn(12, callback=[recorder, second, RestoreAtFirstRollout()], reset_num_timesteps=False)
        rates = recorder.rates
    else:
        second.load_state_dict(first.state_dict())
        rates = record_rates(resumed, 12, second, reset_num_timesteps=False)
    assert rates == {step: whole[step] for step in range(21, 33)}


def test_leaves_a_stock_schedule_on_the_model(make_model: MakeModel) -> None:
    model = make_model("dqn")
    model.learn(20, callback=EpsilonDecayCallback(decay=0.9))
    assert type(model.exploration_schedule) is ConstantSchedule
    assert model.exploration_schedule(0.5) == model.exploration_rate == 0.9**20


@pytest.mark.parametrize("name", ["ppo", "sac", "ars"])
def test_refuses_algorithms_without_exploration_rate(name: str, make_model: MakeModel) -> None:
    with pytest.raises(Sb3ExtError, match=f"DQN or QR-DQN, but got {name.upper()}"):
        make_model(name).learn(10, callback=EpsilonDecayCallback())


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"every": "rollout"}, "every must be 'step' or 'episode', but got 'rollout'"),
        ({"decay": 0}, "decay must be a number above 0 and at most 1, but got 0"),
        ({"decay": 1.5}, "decay must be a number above 0 and at most 1, but got 1.5"),
        ({"min": -0.1}, "min must be a number from 0 to 1, but got -0.1"),
    ],
)
def test_the_error_names_the_invalid_argument(params: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        EpsilonDecayCallback(**params)
