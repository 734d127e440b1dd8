"""A payoff matrix as a picture."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.ticker import PercentFormatter

from sb3_ext.reports.pictures import COLORS, make_figure, save_figure

_CELL_INCHES = 0.95
_BAR_INCHES, _BAR_GAP_INCHES = 0.3, 0.3
# From orange, lost, over white to blue, won: the palette's own, which can be told apart with any colour vision.
_COLOR_MAP = LinearSegmentedColormap.from_list("payoff", [COLORS[1], "#FFFFFF", COLORS[0]])


class Payoff(NamedTuple):
    """
    What a player has scored against another, from 0 to 1.

    :param total: in both seats
    :param moving_first: in the first
    :param moving_second: in the second
    """

    total: float
    moving_first: float
    moving_second: float


def plot_payoffs(
    names: Sequence[str],
    payoffs: Sequence[Sequence[Payoff | None]],
    path: Path,
    *,
    title: str,
    labels: Sequence[str] | None = None,
) -> None:
    """
    Draw a heat map: the rows' scores against the columns, in per cent, below them those in the first and second seat.

    :param names: of the players, in the order of rows and columns
    :param payoffs: rows of columns; ``None`` where no games were played
    :param path: the file; the format follows from its suffix
    :param title: of the picture
    :param labels: of the rows, instead of the names
    :raises ValueError: if the format is unknown
    :raises OSError: if it cannot be written
    """
    size = len(names)
    side_inches = _CELL_INCHES * size
    width_inches = side_inches + _BAR_GAP_INCHES + _BAR_INCHES
    figure = make_figure(width_inches, side_inches)
    figure.set_layout_engine("none")  # cells have their size; labels reach beyond the figure, which is cropped to them
    axes: Axes = figure.add_axes((0.0, 0.0, side_inches / width_inches, 1.0))
    bar_axes = figure.add_axes((1.0 - _BAR_INCHES / width_inches, 0.0, _BAR_INCHES / width_inches, 1.0))
    totals = np.array([[np.nan if cell is None else cell.total for cell in row] for row in payoffs])
    image = axes.imshow(totals, cmap=_COLOR_MAP, vmin=0, vmax=1)
    for row, column in np.argwhere(~np.isnan(totals)).tolist():
        cell = payoffs[row][column]
        if cell is not None:
            _label(axes, row, column, cell)
    axes.set_xticks(range(size), names, rotation=35, ha="left", rotation_mode="anchor", fontsize=10)
    axes.set_yticks(range(size), names if labels is None else labels, fontsize=10)
    axes.xaxis.tick_top()
    axes.tick_params(length=0)
    axes.set_facecolor("#EEEEEE")
    axes.spines[:].set_visible(False)
    axes.set_title(title, loc="left", fontsize=12, fontweight="bold", pad=12)
    bar = figure.colorbar(image, cax=bar_axes, ticks=[0, 0.25, 0.5, 0.75, 1], format=PercentFormatter(1.0, symbol=" %"))
    bar.set_label("score of the row against the column\nsmall: moving first / moving second", fontsize=10)
    bar.outline.set_visible(False)
    save_figure(figure, path, crop=True)


def _label(axes: Axes, row: int, column: int, cell: Payoff) -> None:
    color = "white" if abs(cell.total - 0.5) > 0.35 else "black"
    axes.text(column, row - 0.1, f"{100 * cell.total:.1f}", ha="center", va="center", fontsize=12, color=color)
    seats = f"{100 * cell.moving_first:.0f} / {100 * cell.moving_second:.0f}"
    axes.text(column, row + 0.25, seats, ha="center", va="center", fontsize=8, color=color)
