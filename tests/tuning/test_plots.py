"""Plots of a study: what they show, and that their labels can be read."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import matplotlib
import numpy as np
import optuna
import pytest
from matplotlib import pyplot
from matplotlib.axis import Axis
from matplotlib.figure import Figure
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.trial import TrialState

from sb3_ext.internals.optuna import allow_experimental
from sb3_ext.tuning.plots import draw_figure, draw_plots, list_plots
from sb3_ext.tuning.readable_study import make_readable_study
from sb3_ext.tuning.space import Space, load_default_space

SPACE: dict[str, BaseDistribution] = {
    "agent.params.learning_rate": FloatDistribution(1e-5, 1e-2, log=True),
    "agent.params.n_steps": IntDistribution(5, 9),
    "agent.params.policy_kwargs.net_arch": CategoricalDistribution(["small", "large"]),
    "agent.params.use_sde": CategoricalDistribution([False]),
}


@pytest.fixture(autouse=True)
def closed_figures() -> Iterator[None]:
    yield
    pyplot.close("all")


def make_study(
    study: optuna.Study, objectives: tuple[str, ...] = ("last",), space: Space | None = None, directory: Any = None
) -> Any:
    """A study in memory, with as much of its plan as plots read."""
    plan = SimpleNamespace(
        is_minimized=[name == "time_to_target" for name in objectives],
        settings=SimpleNamespace(objective=objectives),
        space=space or Space({}),
        directory=directory,
    )
    return SimpleNamespace(plan=plan, study=study, list_trials=lambda: study.get_trials(deepcopy=False))


def sample_study(trials: int, algorithm: str = "ppo", **arguments: Any) -> Any:
    """Random trials in an algorithm's default space."""
    space = load_default_space(algorithm)
    study = optuna.create_study(direction="maximize", sampler=optuna.samplers.RandomSampler(seed=1))

    def run(trial: optuna.Trial) -> float:
        space.suggest(trial)
        for step in (100, 200):
            trial.report(float(trial.number + step), step)
        return 475.0 - (trial.number % 7) ** 2

    study.optimize(run, n_trials=trials)
    return make_study(study, space=space, **arguments)


def add_trial(study: optuna.Study, values: list[float] | None = None, **arguments: Any) -> None:
    params = {
        "agent.params.learning_rate": 1e-3 if len(study.trials) % 2 else 1e-4,
        "agent.params.n_steps": 7 if len(study.trials) % 2 else 5,
        "agent.params.policy_kwargs.net_arch": "small",
        "agent.params.use_sde": False,
    }
    study.add_trial(optuna.create_trial(values=values, params=params, distributions=SPACE, **arguments))


def draw(study: Any, name: str) -> Figure:
    with allow_experimental():
        return draw_figure(list_plots(study)[name])


def list_labels(axis: Axis) -> list[Any]:
    """The visible labels of an axis, as matplotlib's texts in the order of their places."""
    low, high = sorted(axis.get_view_interval())
    ticks = zip(axis.get_ticklocs(), axis.get_ticklabels(), strict=True)
    return [text for place, text in ticks if low <= place <= high and text.get_text()]


def overlap(texts: list[Any]) -> bool:
    boxes = sorted((text.get_window_extent() for text in texts), key=lambda box: box.x0)
    return any(first.x1 > second.x0 for first, second in pairwise(boxes))


def test_the_copy_has_short_names_and_only_the_keys_that_were_varied() -> None:
    study = optuna.create_study(direction="maximize")
    for value in (10.0, 20.0):
        add_trial(study, [value], intermediate_values={100: value})
    add_trial(study, state=TrialState.PRUNED, intermediate_values={100: 3.0})
    add_trial(study, state=TrialState.RUNNING)

    copy = make_readable_study(make_study(study))

    assert [trial.state.name for trial in copy.trials] == ["COMPLETE", "COMPLETE", "PRUNED", "RUNNING"]
    assert copy.trials[1].params == {"learning_rate": 1e-3, "n_steps": 7}
    assert copy.trials[2].intermediate_values == {100: 3.0}
    assert copy.best_value == 20.0


def test_the_copy_names_what_is_sampled() -> None:
    names = set(make_readable_study(sample_study(5)).best_trial.params)

    assert names >= {"log₂ n_steps", "1 − gamma", "learning_rate", "net_arch"}


def test_the_copy_has_the_first_objective_and_evaluations_are_returns() -> None:
    study = optuna.create_study(directions=["minimize", "maximize"])
    add_trial(study, [4000.0, 900.0], intermediate_values={100: -55.0})

    copy = make_readable_study(make_study(study, ("time_to_target", "fps")))

    assert copy.best_trial.value == 4000.0
    assert copy.best_trial.intermediate_values == {100: 55.0}


def test_short_names_that_are_equal_are_not_used() -> None:
    study = optuna.create_study()
    keys = ("agent.params.net_arch", "agent.params.policy_kwargs.net_arch")
    for value in (0.1, 0.2):
        space: dict[str, BaseDistribution] = {key: FloatDistribution(0, 1) for key in keys}
        params: dict[str, Any] = dict.fromkeys(keys, value)
        study.add_trial(optuna.create_trial(value=value, params=params, distributions=space))

    assert tuple(make_readable_study(make_study(study)).best_trial.params) == keys


@pytest.mark.parametrize("trials", [2, 30])
def test_the_history_counts_whole_trials(trials: int) -> None:
    [axes] = draw(sample_study(trials), "history").axes

    assert np.all(np.mod(axes.get_xticks(), 1) == 0)
    assert axes.get_ylabel() == "Return"


@pytest.mark.parametrize(("trials", "has_legend"), [(3, True), (30, False)])
def test_evaluations_have_a_legend_if_there_is_room(trials: int, has_legend: bool) -> None:
    [axes] = draw(sample_study(trials), "evaluations").axes

    assert len(axes.lines) == trials
    assert (axes.get_legend() is not None) is has_legend


@pytest.mark.parametrize(("algorithm", "trials"), [("td3", 12), ("dqn", 3), ("ars", 2)])
def test_labels_of_slices_do_not_overlap(algorithm: str, trials: int) -> None:
    figure = draw(sample_study(trials, algorithm), "slices")
    panels = [axes for axes in figure.axes if axes.get_label() != "<colorbar>"]

    assert len(panels) > 3
    for panel in panels:
        labels = list_labels(panel.xaxis)
        assert any(text.get_rotation() for text in labels) or not overlap(labels), panel.get_xlabel()
    assert not overlap([panel.xaxis.label for panel in panels])


def test_labels_of_parallel_coordinates_end_before_the_next_axis() -> None:
    figure = draw(sample_study(12, "td3"), "parallel")
    first, _, *scales = figure.axes

    assert first.get_xticklabels()[0].get_text() == "Return"
    ends = [axes.spines["right"].get_window_extent().x0 for axes in scales]
    for axes, end in zip(scales[:-1], ends[1:], strict=True):
        assert max(label.get_window_extent().x1 for label in list_labels(axes.yaxis)) < end


def test_whole_numbers_have_no_decimals() -> None:
    figure = draw(sample_study(12, "td3"), "parallel")
    names = [label.get_text() for label in figure.axes[0].get_xticklabels()][1:]
    scales = dict(zip(names, figure.axes[2:], strict=True))

    assert [label.get_text() for label in list_labels(scales["policy_delay"].yaxis)] == ["1", "2", "3", "4"]


def test_every_plot_is_a_file_and_pyplot_stays_as_it_was(tmp_path: Path) -> None:
    before = dict(matplotlib.rcParams)

    files = draw_plots(sample_study(3, "ars", directory=tmp_path))

    names = ["history", "evaluations", "importance", "slices", "parallel"]
    assert [path.name for path in files] == [f"{name}.{kind}" for name in names for kind in ("png", "html")]
    assert all(path.stat().st_size > 1000 for path in files)
    assert pyplot.get_fignums() == []
    assert dict(matplotlib.rcParams) == before


def test_several_objectives_have_a_front(tmp_path: Path) -> None:
    study = optuna.create_study(directions=["maximize", "maximize"])
    for value in (10.0, 20.0):
        add_trial(study, [value, 1000.0 - value])

    files = draw_plots(make_study(study, ("last", "fps"), directory=tmp_path))

    names = ["history", "importance", "slices", "parallel", "front"]
    assert [path.stem for path in files if path.suffix == ".png"] == names


def test_a_study_without_varied_keys_has_its_history_only(tmp_path: Path) -> None:
    study = optuna.create_study(direction="maximize")
    for value in (10.0, 20.0):
        study.add_trial(optuna.create_trial(value=value, params={"a": 1}, distributions={"a": IntDistribution(1, 2)}))

    assert [path.name for path in draw_plots(make_study(study, directory=tmp_path))] == ["history.png", "history.html"]


def test_importances_that_say_nothing_are_not_drawn(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    study = optuna.create_study(direction="maximize")
    for _ in range(2):
        add_trial(study, [10.0])

    with caplog.at_level("INFO", "sb3_ext"):
        files = draw_plots(make_study(study, directory=tmp_path))

    assert [path.stem for path in files if path.suffix == ".png"] == ["history", "slices", "parallel"]
    assert "importance is not drawn: all trials have the same value" in caplog.text


@pytest.mark.parametrize("complete", [0, 1])
def test_fewer_than_two_complete_trials_are_not_drawn(complete: int, tmp_path: Path) -> None:
    study = optuna.create_study(direction="maximize")
    for _ in range(complete):
        add_trial(study, [1.0])
    add_trial(study, state=TrialState.FAIL)

    assert draw_plots(make_study(study, directory=tmp_path)) == []
    assert list(tmp_path.iterdir()) == []
