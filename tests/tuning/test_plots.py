"""Pictures of a study."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import optuna
import pytest
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution

from sb3_ext.tuning.plots import draw_history, draw_parallel, draw_slices

SPACE: dict[str, BaseDistribution] = {
    "agent.params.learning_rate": FloatDistribution(1e-5, 1e-2, log=True),
    "agent.params.n_steps": IntDistribution(5, 9),
    "agent.params.use_sde": CategoricalDistribution([False]),
}


def make_study(trials: int, space: dict[str, BaseDistribution]) -> Any:
    """A study in memory, with as much of its plan as the pictures read."""
    study = optuna.create_study(direction="maximize")
    values = {"agent.params.learning_rate": 1e-3, "agent.params.n_steps": 7, "agent.params.use_sde": False}
    for number in range(trials):
        params = {key: values[key] for key in space}
        study.add_trial(optuna.create_trial(params=params, distributions=space, value=float(number)))
    plan = SimpleNamespace(
        is_minimized=(False,), settings=SimpleNamespace(objective=["last"]), space=SimpleNamespace(dimensions={})
    )
    return SimpleNamespace(plan=plan, study=study, list_trials=lambda: study.trials)


@pytest.fixture(autouse=True)
def quiet(monkeypatch: pytest.MonkeyPatch) -> None:
    optuna.logging.set_verbosity(optuna.logging.WARNING)


@pytest.mark.parametrize("trials", [2, 3, 30])
def test_the_history_counts_whole_trials(trials: int) -> None:
    study = make_study(trials, SPACE)
    figure = draw_history(study, study.list_trials())
    figure.canvas.draw()
    [axes] = figure.axes
    assert np.all(axes.get_xticks() % 1 == 0)
    low, high = axes.get_xlim()
    assert low < 0
    assert high > trials - 1


def test_keys_with_one_value_are_not_drawn() -> None:
    study = make_study(3, SPACE)
    titles = [axes.get_title(loc="left") for axes in draw_slices(study, study.list_trials()).axes]
    assert titles == ["learning_rate", "n_steps"]
    labels = [text.get_text() for text in draw_parallel(study, study.list_trials()).axes[0].get_xticklabels()]
    assert labels == ["learning_rate", "n_steps", "Return"]


def test_a_single_choice_stands_where_the_lines_meet() -> None:
    study = make_study(3, {"agent.params.use_sde": SPACE["agent.params.use_sde"]})
    [axes] = draw_parallel(study, study.list_trials()).axes
    [mark] = [text for text in axes.texts if text.get_text() == "False"]
    lines = [line for line in axes.lines if list(line.get_xdata()) == [0, 1]]
    assert [line.get_ydata()[0] for line in lines] == [mark.xy[1]] * 3
