"""The look of every picture, and how it gets into its file. No pyplot: it keeps every figure in a global list."""

from __future__ import annotations

import io
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.gridspec import GridSpec
from matplotlib.ticker import EngFormatter, MaxNLocator, PercentFormatter

from sb3_ext.atomic import write_bytes

# Okabe and Ito's palette: told apart with any kind of colour vision, and in grey.
COLORS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
_GREY = "#555555"
_MARGIN_INCHES = 0.15
_CHARACTERS_PER_INCH, _CHARACTERS_OF_LINE, _LEGEND_ROW_INCHES = 13, 9, 0.22
_FEW_POINTS = 20
# Around and between the panels of a grid: room for a title, for numbers of 7 digits, and for the label below.
_LEFT_INCHES, _RIGHT_INCHES, _TOP_INCHES, _BOTTOM_INCHES = 0.8, 0.15, 0.75, 0.6
_BETWEEN_COLUMNS_INCHES, _BETWEEN_ROWS_INCHES = 0.85, 0.85


def make_figure(width_inches: float, height_inches: float) -> Figure:
    """
    :param width_inches: at 100 pixels an inch
    :param height_inches: likewise
    :return: an empty figure that finds room for all its labels
    """
    figure = Figure(figsize=(width_inches, height_inches), dpi=100)
    figure.set_layout_engine("constrained", w_pad=0.1, h_pad=0.08, hspace=0.03)
    return figure


def make_grid(width_inches: float, row_inches: Sequence[float], columns: int) -> tuple[Figure, GridSpec]:
    """
    Make a figure of panels with fixed room for labels, which takes half the time of measuring all labels.

    :param width_inches: at 100 pixels an inch
    :param row_inches: height of the panels in each row
    :param columns: number of columns, all of the same width
    :return: an empty figure, and the places of its panels
    """
    num_gaps = len(row_inches) - 1
    height_inches = _TOP_INCHES + sum(row_inches) + num_gaps * _BETWEEN_ROWS_INCHES + _BOTTOM_INCHES
    column_inches = (width_inches - _LEFT_INCHES - _RIGHT_INCHES - (columns - 1) * _BETWEEN_COLUMNS_INCHES) / columns
    figure = Figure(figsize=(width_inches, height_inches), dpi=100)
    grid = figure.add_gridspec(
        *(len(row_inches), columns),
        height_ratios=row_inches,
        left=_LEFT_INCHES / width_inches,
        right=1.0 - _RIGHT_INCHES / width_inches,
        top=1.0 - _TOP_INCHES / height_inches,
        bottom=_BOTTOM_INCHES / height_inches,
        wspace=_BETWEEN_COLUMNS_INCHES / column_inches,
        hspace=_BETWEEN_ROWS_INCHES * len(row_inches) / sum(row_inches),
    )
    return figure, grid


def style_axes(axes: Axes, *, title: str, x_label: str | None = None) -> None:
    """
    Give a panel its frame, its grid and its labels.

    :param axes: the panel
    :param title: what the vertical axis shows
    :param x_label: what the horizontal axis shows; ``None`` where the panel below has the label
    """
    axes.set_title(title, loc="left", fontsize=12, fontweight="bold")
    if x_label is not None:
        axes.set_xlabel(x_label, fontsize=11, color=_GREY)
    axes.tick_params(labelsize=10, color=_GREY, labelcolor=_GREY)
    axes.spines[["top", "right"]].set_visible(False)
    axes.spines[["left", "bottom"]].set_color(_GREY)
    axes.grid(color="#DDDDDD", linewidth=0.8)
    axes.set_axisbelow(True)
    axes.margins(x=0.01)
    axes.yaxis.set_label_coords(0.0, 0.5)  # there is no label: without this, matplotlib measures where to put it
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_locator(MaxNLocator(6, steps=[1, 2, 2.5, 5, 10]))


def label_steps(axes: Axes) -> None:
    """:param axes: a panel whose horizontal axis counts steps: 20k, 1.5M, …"""
    axes.xaxis.set_major_formatter(EngFormatter(sep=""))


def label_shares(axes: Axes) -> None:
    """:param axes: a panel whose vertical axis shows shares: 0 %, 20 %, …, 100 %"""
    axes.set_ylim(-0.02, 1.02)
    axes.yaxis.set_major_formatter(PercentFormatter(1.0, symbol=" %"))


def place_legend(figure: Figure, axes: Axes) -> None:
    """
    Put the legend above all panels, in as many columns as have room, and make the figure so much higher.

    :param figure: of which a panel has labelled lines
    :param axes: that panel
    """
    handles, labels = axes.get_legend_handles_labels()
    if not labels:
        return
    width, height = figure.get_size_inches()
    room = int(width * _CHARACTERS_PER_INCH) // (max(map(len, labels)) + _CHARACTERS_OF_LINE)
    columns = max(1, min(len(labels), room))
    figure.set_size_inches(width, height + math.ceil(len(labels) / columns) * _LEGEND_ROW_INCHES)
    figure.legend(handles, labels, fontsize=10, frameon=False, loc="outside upper left", ncols=columns)


def choose_marker(count: int) -> dict[str, Any]:
    """:return: for a line through so many points, matplotlib's keyword arguments: with markers if they are few"""
    return {"marker": "o", "markersize": 3} if count <= _FEW_POINTS else {}


def save_figure(figure: Figure, path: Path, *, crop: bool = False) -> None:
    """
    :param figure: finished
    :param path: the file, replaced in one step; the format follows from its suffix: ``.png``, ``.svg`` or ``.pdf``
    :param crop: cut what is empty at the edges, and make room for what reaches beyond them
    :raises ValueError: if the format is unknown
    """
    content = io.BytesIO()
    options: dict[str, Any] = {"bbox_inches": "tight", "pad_inches": _MARGIN_INCHES} if crop else {}
    if path.suffix == ".png":
        options["pil_kwargs"] = {"compress_level": 1}  # a tenth of a second faster
    figure.savefig(content, format=path.suffix.lstrip(".") or None, **options)
    write_bytes(path, content.getvalue(), durable=False)
