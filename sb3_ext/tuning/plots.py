"""A study as pictures: PNG always, and HTML to point at where plotly is installed."""

from __future__ import annotations

import logging
import math
import warnings
from collections.abc import Callable, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import optuna
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, NullFormatter
from optuna.distributions import BaseDistribution, CategoricalDistribution, IntDistribution
from optuna.importance import PedAnovaImportanceEvaluator, get_param_importances
from optuna.trial import FrozenTrial, TrialState

from sb3_ext.reports.pictures import COLORS, make_figure, save_figure, style_axes
from sb3_ext.tuning.study import TuningStudy

logger = logging.getLogger(__name__)

PLOTS = "plots"
_MAX_PANELS = 12
_COLUMNS = 4
_MAX_LABEL = 22
_COLOR_MAP = "viridis"


def draw_plots(study: TuningStudy) -> list[Path]:
    """
    Draw what there is to see of a study, for its first objective: history, importance of each key, slices along each,
    and all together in parallel coordinates.

    :param study: any
    :return: the files, in ``plots``; none as long as fewer than two trials are complete
    """
    complete = [trial for trial in study.list_trials() if trial.state == TrialState.COMPLETE]
    if len(complete) < 2:
        return []
    directory = study.plan.directory / PLOTS
    directory.mkdir(exist_ok=True)
    pictures: dict[str, Callable[[], Figure]] = {
        "history": lambda: draw_history(study, complete),
        "importance": lambda: draw_importance(study),
        "slices": lambda: draw_slices(study, complete),
        "parallel": lambda: draw_parallel(study, complete),
    }
    files = []
    for name, draw in pictures.items():
        try:
            save_figure(draw(), directory / f"{name}.png")
            files.append(directory / f"{name}.png")
        except (RuntimeError, ValueError) as error:  # Optuna's own: too few different values, say
            logger.info("%s is not drawn: %s", name, error)
    return files + _write_html(study, directory)


def draw_history(study: TuningStudy, complete: Sequence[FrozenTrial]) -> Figure:
    """
    :param study: any
    :param complete: its complete trials, at least one
    :return: values over trials, and the best so far
    """
    figure = make_figure(8, 4.5)
    axes = figure.subplots()
    numbers, values = [trial.number for trial in complete], [trial.values[0] for trial in complete]
    accumulate = np.minimum.accumulate if study.plan.is_minimized[0] else np.maximum.accumulate
    axes.scatter(numbers, values, s=28, color=COLORS[0], label="complete", zorder=3)
    axes.step(numbers, accumulate(values), where="post", color=COLORS[1], label="best so far")
    pruned = [trial for trial in study.list_trials() if trial.state == TrialState.PRUNED and trial.values]
    if pruned:
        last = [trial.values[0] for trial in pruned]
        axes.scatter([trial.number for trial in pruned], last, s=24, color="#999999", marker="x", label="pruned, last")
    style_axes(axes, title=_name_objective(study), x_label="trial")
    axes.xaxis.set_major_locator(MaxNLocator(10, integer=True))
    axes.margins(x=0.03)
    axes.legend(fontsize=10, frameon=False, loc="lower right", bbox_to_anchor=(1.0, 1.0), ncols=3, borderpad=0.2)
    return figure


def draw_importance(study: TuningStudy) -> Figure:
    """
    :param study: with at least two complete trials
    :return: how much each key has to do with the best trials being better than the others (PED-ANOVA)
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        shares = get_param_importances(
            study.study, evaluator=PedAnovaImportanceEvaluator(), target=_get_first(study), normalize=True
        )
    items = [(key, share) for key, share in shares.items() if not math.isnan(share)][::-1]
    if not items:
        raise ValueError("no key was given two values")
    figure = make_figure(8, 1.5 + 0.35 * len(items))
    axes = figure.subplots()
    bars = axes.barh([shorten_key(key) for key, _ in items], [share for _, share in items], color=COLORS[0])
    axes.bar_label(bars, fmt="%.2f", padding=4, fontsize=10)
    style_axes(axes, title=f"Importance for {_name_objective(study).lower()}", x_label="share")
    axes.set_yticks(range(len(items)), [shorten_key(key) for key, _ in items])
    axes.margins(x=0.08)
    return figure


def draw_slices(study: TuningStudy, complete: Sequence[FrozenTrial]) -> Figure:
    """
    :param study: any
    :param complete: its complete trials, at least one
    :return: a panel a key: the trials' values over it, later trials darker
    """
    keys = _list_varied_keys(complete)[:_MAX_PANELS]
    columns = min(_COLUMNS, len(keys))
    rows = math.ceil(len(keys) / columns)
    figure = make_figure(3.2 * columns + 0.6, 2.8 * rows + 0.4)
    panels = figure.subplots(rows, columns, squeeze=False, sharey=True).ravel()
    shades = Normalize(-0.3 * len(complete), max(1, complete[-1].number))
    for axes, key in zip(panels, keys, strict=False):
        trials = [trial for trial in complete if key in trial.params]
        axis = _Axis(trials, key)
        axes.scatter(
            [axis.place(trial) for trial in trials],
            [trial.values[0] for trial in trials],
            c=[trial.number for trial in trials],
            cmap="Blues",
            norm=shades,
            s=26,
            edgecolors="#666666",
            linewidths=0.4,
        )
        style_axes(axes, title=_name_parameter(study, key))
        axis.label(axes)
    for axes in panels[len(keys) :]:
        axes.set_visible(False)
    figure.supylabel(_name_objective(study), fontsize=11)
    figure.supxlabel("later trials are darker", fontsize=10)
    return figure


def draw_parallel(study: TuningStudy, complete: Sequence[FrozenTrial]) -> Figure:
    """
    :param study: any
    :param complete: its complete trials, at least one
    :return: a vertical axis a key, a line a trial; the brighter the better
    """
    keys = _list_varied_keys(complete)[:_MAX_PANELS]
    values = np.array([trial.values[0] for trial in complete])
    goodness = -values if study.plan.is_minimized[0] else values
    shades = Normalize(float(goodness.min()), max(float(goodness.max()), float(goodness.min()) + 1e-9))
    figure = make_figure(max(7.0, 1.35 * (len(keys) + 1) + 1), 5)
    axes = figure.subplots()
    scales = [_Axis([trial for trial in complete if key in trial.params], key) for key in keys]
    low, high = float(values.min()), float(values.max())
    for index in np.argsort(goodness):
        trial = complete[index]
        heights = [scale.relate(trial) if scale.key in trial.params else math.nan for scale in scales]
        height = (trial.values[0] - low) / (high - low) if high > low else 0.5
        points = [(place, item) for place, item in enumerate([*heights, height]) if not math.isnan(item)]
        axes.plot(*zip(*points, strict=True), color=colormaps[_COLOR_MAP](shades(goodness[index])), alpha=0.8)
    for position, scale in enumerate(scales):
        axes.axvline(position, color="#BBBBBB", linewidth=0.8, zorder=0)
        for height, text in scale.list_marks():
            _annotate(axes, text, position, height)
    axes.axvline(len(keys), color="#333333", linewidth=1.0, zorder=0)
    for height, value in ((0.0, low), (1.0, high)):
        _annotate(axes, f"{value:.4g}", len(keys), height)
    labels = [*(_name_parameter(study, key) for key in keys), _name_objective(study)]
    axes.set_xticks(range(len(labels)), labels, rotation=25, ha="right", fontsize=9)
    axes.set_title("All trials; the brighter, the better", loc="left", fontsize=12, fontweight="bold")
    axes.set_yticks([])
    axes.set_xlim(-0.2, len(keys) + 0.5)
    axes.spines[["top", "right", "left", "bottom"]].set_visible(False)
    return figure


class _Axis:
    """
    One key as a scale: numbers by their size, or its logarithm; choices side by side.

    :param trials: those that have the key
    """

    def __init__(self, trials: Sequence[FrozenTrial], key: str) -> None:
        self.key = key
        distribution: BaseDistribution = trials[-1].distributions[key]
        self._is_whole = isinstance(distribution, IntDistribution)
        self._is_log = bool(getattr(distribution, "log", False))
        self._choices = list(distribution.choices) if isinstance(distribution, CategoricalDistribution) else None
        if isinstance(distribution, CategoricalDistribution):
            self._low, self._high = 0.0, float(len(distribution.choices) - 1)
        else:
            self._low, self._high = (self._scale(getattr(distribution, name)) for name in ("low", "high"))

    def place(self, trial: FrozenTrial) -> float:
        """:return: where a trial is on matplotlib's axis"""
        value = trial.params[self.key]
        return float(value) if self._choices is None else float(self._choices.index(value))

    def relate(self, trial: FrozenTrial) -> float:
        """:return: where a trial is between the ends of the scale, from 0 to 1"""
        place = self.place(trial)
        place = self._scale(place) if self._choices is None else place
        return (place - self._low) / (self._high - self._low) if self._high > self._low else 0.5

    def label(self, axes: Axes) -> None:
        """Say on matplotlib's axis what is where."""
        if self._choices is not None:
            labels = [_shorten(choice) for choice in self._choices]
            is_crowded = sum(map(len, labels)) > _MAX_LABEL
            axes.set_xticks(range(len(labels)), labels, rotation=20 if is_crowded else 0)
            axes.set_xlim(-0.5, len(labels) - 0.5)  # also where no trial is
            return
        axes.margins(x=0.06)
        if self._is_log:
            axes.set_xscale("log")
            axes.xaxis.set_minor_formatter(NullFormatter())
        elif self._is_whole:
            axes.xaxis.set_major_locator(MaxNLocator(6, integer=True))

    def list_marks(self) -> list[tuple[float, str]]:
        """:return: heights from 0 to 1 with what they mean"""
        if self._choices is None:
            ends = [10**end if self._is_log else end for end in (self._low, self._high)]
            return [(0.0, f"{ends[0]:.3g}"), (1.0, f"{ends[1]:.3g}")]
        last = len(self._choices) - 1
        return [(index / last if last else 0.5, _shorten(choice)) for index, choice in enumerate(self._choices)]

    def _scale(self, value: float) -> float:
        return math.log10(value) if self._is_log else float(value)


def shorten_key(key: str) -> str:
    """:return: as much of a key as tells it from others"""
    return key.removeprefix("agent.params.").removeprefix("policy_kwargs.")


def _name_parameter(study: TuningStudy, key: str) -> str:
    """What is sampled for a key: an exponent, say, in place of the configuration's value."""
    dimension = study.plan.space.dimensions.get(key)
    forms = {"power_of_two": "log₂ {}", "one_minus": "1 − {}", "linear_schedule": "{}, at the start"}
    form = "{}" if dimension is None or dimension.expression is None else forms[dimension.expression]
    return form.format(shorten_key(key))


def _annotate(axes: Axes, text: str, x: float, y: float) -> None:
    box = {"facecolor": "white", "edgecolor": "none", "alpha": 0.75, "pad": 1}
    axes.annotate(text, (x, y), (4, 0), textcoords="offset points", fontsize=8, va="center", bbox=box)


def _shorten(choice: Any) -> str:
    text = str(choice)
    return text if len(text) <= _MAX_LABEL else f"{text[: _MAX_LABEL - 1]}…"


def _list_varied_keys(complete: Sequence[FrozenTrial]) -> list[str]:
    """:return: keys that may have more than one value; all of them if there are none such"""
    distributions = {key: each for trial in complete for key, each in trial.distributions.items()}
    return [key for key, distribution in distributions.items() if not distribution.single()] or list(distributions)


def _name_objective(study: TuningStudy) -> str:
    words = {"last": "Return", "best": "Best return", "area": "Mean return over time", "fps": "Steps per second"}
    name = study.plan.settings.objective[0]
    return words.get(name, "Steps to the target")


def _get_first(study: TuningStudy) -> Callable[[FrozenTrial], float] | None:
    return (lambda trial: float(trial.values[0])) if len(study.plan.is_minimized) > 1 else None


def _write_html(study: TuningStudy, directory: Path) -> list[Path]:
    if find_spec("plotly") is None:
        logger.info("no HTML plots: pip install plotly")
        return []
    visualization, name, target = optuna.visualization, _name_objective(study), _get_first(study)
    common: dict[str, Any] = {"target": target, "target_name": name}
    figures: dict[str, Callable[[], Any]] = {
        "history": lambda: visualization.plot_optimization_history(study.study, **common),
        "importance": lambda: visualization.plot_param_importances(
            study.study, evaluator=PedAnovaImportanceEvaluator(), **common
        ),
        "slices": lambda: visualization.plot_slice(study.study, **common),
        "parallel": lambda: visualization.plot_parallel_coordinate(study.study, **common),
    }
    if target is not None:
        figures["front"] = lambda: visualization.plot_pareto_front(study.study)
    files = []
    for kind, make in figures.items():
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                # The script that the pages have in common stands beside them: they open without a network.
                make().write_html(directory / f"{kind}.html", include_plotlyjs="directory")
            files.append(directory / f"{kind}.html")
        except (RuntimeError, ValueError) as error:
            logger.info("%s is not drawn: %s", kind, error)
    return files
