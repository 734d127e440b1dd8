from __future__ import annotations

import logging
from collections.abc import Callable
from itertools import pairwise

import pytest
from stable_baselines3.common.base_class import BaseAlgorithm

from sb3_ext.callbacks import PhaseCallback, TimingsCallback
from sb3_ext.phases import Phases

MakeModel = Callable[..., BaseAlgorithm]


def test_alternates_collecting_and_updating_for_every_algorithm(algorithm: str, make_model: MakeModel) -> None:
    phases = Phases()
    names: list[str] = []
    phases.listeners.append(names.append)
    make_model(algorithm).learn(64, callback=PhaseCallback(phases))
    assert names[:4] == ["collecting", "updating", "collecting", "updating"]
    assert names[-2:] == ["updating", "finished"]
    assert all(first != second for first, second in pairwise(names))


def test_timings_work_without_other_callbacks(make_model: MakeModel, caplog: pytest.LogCaptureFixture) -> None:
    callback = TimingsCallback()
    with caplog.at_level(logging.INFO, "sb3_ext"):
        make_model("ppo").learn(64, callback=callback)
    assert {"collecting", "updating"} <= callback.seconds.keys()
    assert all(seconds > 0 for seconds in callback.seconds.values())
    assert "collecting" in caplog.text
    assert "updating" in caplog.text


def test_timings_include_phases_of_other_callbacks(make_model: MakeModel) -> None:
    phases = Phases()
    callback = TimingsCallback(phases)
    model = make_model("ppo").learn(16, callback=callback)
    with phases.during("saving"):
        model.get_parameters()
    assert callback.seconds["saving"] > 0


def test_resume_continues_the_timings(make_model: MakeModel) -> None:
    callback = TimingsCallback()
    callback.load_state_dict({"seconds": {"collecting": 100.0, "saving": 7.0}})
    make_model("ppo").learn(16, callback=callback)
    seconds = callback.state_dict()["seconds"]
    assert 100 < seconds["collecting"] < 110
    assert seconds["saving"] == 7.0
