"""From samples to values of the configuration, and from the configuration's own values to samples."""

from __future__ import annotations

import logging
from typing import Any

import optuna
import pytest
from optuna.trial import FixedTrial

from sb3_ext.config import load_config
from sb3_ext.config.tune_schema import DimensionConfig
from sb3_ext.tuning.space import Space

SPACE: dict[str, dict[str, Any]] = {
    "agent.params.learning_rate": {"type": "float", "low": 1e-5, "high": 1e-2, "log": True},
    "agent.params.gamma": {"type": "float", "low": 0.001, "high": 0.1, "log": True, "expression": "one_minus"},
    "agent.params.clip_range": {"type": "float", "low": 0.1, "high": 0.5, "expression": "linear_schedule"},
    "agent.params.n_steps": {"type": "int", "low": 5, "high": 8, "expression": "power_of_two"},
    "agent.params.n_epochs": {"type": "int", "low": 4, "high": 20, "step": 4},
    "agent.params.policy_kwargs": {"type": "categorical", "choices": [{"net_arch": [8]}, {"net_arch": [8, 8]}]},
    "agent.params.use_sde": {"type": "categorical", "choices": [False, True]},
    "agent.params.sde_sample_freq": {"type": "int", "low": 1, "high": 9, "when": {"agent.params.use_sde": True}},
    "env.max_steps": {"type": "categorical", "choices": {"short": 50, "long": None}},
}


def make_space(**changes: dict[str, Any]) -> Space:
    return Space({key: DimensionConfig.model_validate(item) for key, item in {**SPACE, **changes}.items()})


def make_config(**params: Any) -> Any:
    return load_config({"env": {"id": "CartPole-v1"}, "agent": {"id": "ppo", "params": params}})


SAMPLED = {
    "agent.params.learning_rate": 1e-3,
    "agent.params.gamma": 0.01,
    "agent.params.clip_range": 0.25,
    "agent.params.n_steps": 7,
    "agent.params.n_epochs": 8,
    "agent.params.policy_kwargs": '{"net_arch": [8, 8]}',
    "agent.params.use_sde": True,
    "agent.params.sde_sample_freq": 4,
    "env.max_steps": "long",
}


def test_samples_become_values() -> None:
    assert make_space().suggest(FixedTrial(SAMPLED)) == {
        "agent.params.learning_rate": 1e-3,
        "agent.params.gamma": 0.99,
        "agent.params.clip_range": "linear(0.25)",
        "agent.params.n_steps": 128,
        "agent.params.n_epochs": 8,
        "agent.params.policy_kwargs": {"net_arch": [8, 8]},
        "agent.params.use_sde": True,
        "agent.params.sde_sample_freq": 4,
        "env.max_steps": None,
    }


@pytest.mark.parametrize(
    ("wanted", "is_there"), [(True, False), (False, True), ([True, False], True), (0, False), ("false", False)]
)
def test_a_condition_holds_for_exactly_its_values(wanted: Any, is_there: bool) -> None:
    key = "agent.params.sde_sample_freq"
    space = make_space(**{key: {**SPACE[key], "when": {"agent.params.use_sde": wanted}}})

    values = space.suggest(FixedTrial({**SAMPLED, "agent.params.use_sde": False}))

    assert (key in values) is is_there


def test_a_trial_that_is_taken_up_again_keeps_its_values() -> None:
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=0))
    trial = study.ask()
    first = make_space().suggest(trial)

    again = make_space().suggest(optuna.Trial(study, trial._trial_id))

    assert again == first


def test_the_configurations_own_values_are_expressed() -> None:
    given = {"learning_rate": 2e-3, "gamma": 0.99, "clip_range": "linear(0.3)", "n_steps": 64, "n_epochs": 4}

    params = make_space().express(make_config(**given, policy_kwargs={"net_arch": [8]}))

    values = make_space().suggest(FixedTrial(params))
    assert {f"agent.params.{key}": value for key, value in given.items()}.items() <= values.items()
    assert values["agent.params.policy_kwargs"] == {"net_arch": [8]}
    assert values["env.max_steps"] is None
    assert values["agent.params.use_sde"] is False


def test_a_number_outside_moves_to_the_border_and_other_values_are_left_out(
    caplog: pytest.LogCaptureFixture,
) -> None:
    config = make_config(learning_rate=0.5, n_steps=100, clip_range=0.2, n_epochs=5)

    with caplog.at_level(logging.INFO, logger="sb3_ext"):
        params = make_space().express(config)

    assert params["agent.params.learning_rate"] == 1e-2
    assert params["agent.params.n_epochs"] == 4
    assert "agent.params.n_steps" not in params  # no power of two
    assert "agent.params.clip_range" not in params  # no schedule
    assert "agent.params.policy_kwargs" not in params
    assert "learning_rate = 0.01: 0.5 is outside of the space" in caplog.text
    assert "samples agent.params.n_steps: the space does not have 100" in caplog.text
    assert "samples agent.params.policy_kwargs: it is not set" in caplog.text


def test_the_configurations_values_are_enqueued_without_a_warning() -> None:
    study = optuna.create_study()
    study.enqueue_trial(make_space().express(make_config(learning_rate=0.5)))

    make_space().suggest(study.ask())  # warnings are errors here
