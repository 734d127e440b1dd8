"""Draw a study with Optuna's own plots: PNG with matplotlib, and interactive HTML where plotly is installed."""

from __future__ import annotations

import logging
import warnings
from importlib.util import find_spec
from pathlib import Path
from typing import Any, NamedTuple

import matplotlib
import numpy as np
import optuna
from matplotlib import pyplot
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, MaxNLocator, NullFormatter
from optuna.distributions import BaseDistribution, CategoricalDistribution, IntDistribution
from optuna.importance import PedAnovaImportanceEvaluator
from optuna.trial import TrialState

from sb3_ext.internals.optuna import allow_experimental
from sb3_ext.reports.pictures import save_figure
from sb3_ext.tuning.readable_study import make_readable_study
from sb3_ext.tuning.study import TuningStudy

logger = logging.getLogger(__name__)

PLOTS = "plots"
_MAX_LEGEND_ENTRIES = 12
_EQUAL_IMPORTANCES = "Target and region quantiles select the same set of trials"
_EQUAL_LIMITS = "Attempting to set identical low and high"  # Optuna before 5, of an axis with one value
_CHARACTER_INCHES = 0.1
_PANEL_INCHES = 2.2
_OBJECTIVES = {"last": "Return", "best": "Best return", "area": "Mean return over time", "fps": "Steps per second",
               "time_to_target": "Steps to the target"}  # fmt: skip

Distributions = dict[str, BaseDistribution]
"""By the names of parameters, in the order in which Optuna draws them."""


class Plot(NamedTuple):
    """
    :param function: of ``optuna.visualization``, and of ``optuna.visualization.matplotlib``
    :param arguments: of both functions
    :param study: what is drawn
    :param size: width and height of the PNG in inches; of a slice plot, those of two panels
    """

    function: str
    arguments: dict[str, Any]
    study: optuna.Study
    size: tuple[float, float] = (8.0, 4.5)


def draw_plots(study: TuningStudy) -> list[Path]:
    """
    Draw the history of a study, the evaluations of its trials, the importance of each key, slices along each key and
    parallel coordinates, all for the first objective; and the Pareto front of several objectives.

    :param study: any
    :return: the files, in ``plots``; none if fewer than two trials are complete
    """
    if sum(trial.state == TrialState.COMPLETE for trial in study.list_trials()) < 2:
        return []
    directory = study.plan.directory / PLOTS
    directory.mkdir(exist_ok=True)
    has_plotly = find_spec("plotly") is not None
    if not has_plotly:
        logger.info("no HTML plots: pip install plotly")
    files = []
    with allow_experimental():
        warnings.filterwarnings("error", _EQUAL_IMPORTANCES)
        warnings.filterwarnings("ignore", _EQUAL_LIMITS)
        for name, plot in list_plots(study).items():
            try:
                files.append(_save_png(plot, directory / f"{name}.png"))
                if has_plotly:
                    files.append(_save_html(plot, directory / f"{name}.html"))
            except (RuntimeError, ValueError, UserWarning) as error:  # from Optuna: too few different values, say
                logger.info("%s is not drawn: %s", name, error)
    return files


def list_plots(study: TuningStudy) -> dict[str, Plot]:
    """
    :param study: with at least one complete trial
    :return: all plots of the study, by the names of their files
    """
    objectives = [_OBJECTIVES[name] for name in study.plan.settings.objective]
    readable = make_readable_study(study)
    named = {"target_name": objectives[0]}
    plots = {"history": Plot("plot_optimization_history", named, readable)}
    if any(trial.intermediate_values for trial in readable.trials):
        plots["evaluations"] = Plot("plot_intermediate_values", {}, readable)
    if distributions := _find_distributions(readable):
        count, panel = len(distributions), max(_PANEL_INCHES, *map(_measure_text, distributions))
        axis = max(1.4, *map(_measure_axis, distributions.values()))
        importance = {**named, "evaluator": PedAnovaImportanceEvaluator()}
        plots |= {
            "importance": Plot("plot_param_importances", importance, readable, (8.0, 1.5 + 0.35 * count)),
            "slices": Plot("plot_slice", named, readable, (2 * panel, 3.6)),
            "parallel": Plot("plot_parallel_coordinate", named, readable, (axis * count + 3.0, 5.0)),
        }
    if len(objectives) > 1:
        plots["front"] = Plot("plot_pareto_front", {"target_names": objectives}, study.study)
    return plots


def draw_figure(plot: Plot) -> Figure:
    """
    :param plot: one of those of a study
    :return: pyplot's figure, to be closed; with room for its labels and whole numbers where there are no others
    :raises ValueError: if the plot would say nothing
    """
    if plot.function == "plot_param_importances" and _count_values(plot.study) < 2:
        raise ValueError("all trials have the same value")
    with matplotlib.rc_context():  # Optuna changes pyplot's style
        matplotlib.rcParams.update({"figure.figsize": plot.size, "figure.constrained_layout.use": True})
        axes = np.ravel(getattr(optuna.visualization.matplotlib, plot.function)(plot.study, **plot.arguments))
        figure: Figure = axes[0].figure
        figure.set_layout_engine("constrained")
        distributions = _find_distributions(plot.study)
        if plot.function == "plot_optimization_history":
            axes[0].xaxis.set_major_locator(MaxNLocator(integer=True))
        elif plot.function == "plot_intermediate_values":
            axes[0].set_ylabel("Return of the evaluation")
            if len(axes[0].lines) > _MAX_LEGEND_ENTRIES:
                axes[0].get_legend().remove()
        elif plot.function == "plot_slice":
            for panel, distribution in zip(axes, distributions.values(), strict=True):
                _show_whole_numbers(panel.xaxis, distribution)
                _separate_labels(panel, distribution)
        elif plot.function == "plot_parallel_coordinate":
            pyplot.setp(axes[0].get_xticklabels(), horizontalalignment="left", rotation_mode="anchor")
            scales = figure.axes[-len(distributions) :]
            for scale, distribution in zip(scales, distributions.values(), strict=True):
                _show_whole_numbers(scale.yaxis, distribution)
        figure.draw_without_rendering()
        figure.set_layout_engine("none")  # is done
    return figure


def _save_png(plot: Plot, path: Path) -> Path:
    figure = draw_figure(plot)
    save_figure(figure, path)
    pyplot.close(figure)
    return path


def _save_html(plot: Plot, path: Path) -> Path:
    page = getattr(optuna.visualization, plot.function)(plot.study, **plot.arguments)
    # The script that all pages use is a file beside them: they open without a network.
    page.write_html(path, include_plotlyjs="directory")
    return path


def _find_distributions(study: optuna.Study) -> Distributions:
    found = {name: each for trial in study.trials for name, each in trial.distributions.items()}
    return dict(sorted(found.items()))


def _count_values(study: optuna.Study) -> int:
    return len({trial.values[0] for trial in study.trials if trial.state == TrialState.COMPLETE})


def _show_whole_numbers(axis: Any, distribution: BaseDistribution) -> None:
    if isinstance(distribution, IntDistribution) and not distribution.log:
        axis.set_major_locator(MaxNLocator(6, integer=True))


def _separate_labels(panel: Axes, distribution: BaseDistribution) -> None:
    """Keep the labels below a panel of a slice plot from overlapping."""
    if isinstance(distribution, CategoricalDistribution):
        if sum(map(_measure_text, map(str, distribution.choices))) > _PANEL_INCHES:
            pyplot.setp(panel.get_xticklabels(), rotation=20, horizontalalignment="right", rotation_mode="anchor")
    elif panel.get_xscale() == "log":
        low, high = panel.get_xlim()
        if high < 10 * low:
            panel.xaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
        panel.xaxis.set_minor_formatter(NullFormatter())


def _measure_axis(distribution: BaseDistribution) -> float:
    """:return: the inches that an axis with its labels needs"""
    choices = distribution.choices if isinstance(distribution, CategoricalDistribution) else ()
    return max((_measure_text(str(choice)) for choice in choices), default=0.0)


def _measure_text(text: str) -> float:
    return 0.3 + _CHARACTER_INCHES * len(text)
