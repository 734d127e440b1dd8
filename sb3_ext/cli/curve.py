"""Curves made of characters."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from itertools import pairwise

import click

_BLOCKS = "▁▂▃▄▅▆▇█"
_BRAILLE = 0x2800
_TICK_CHARACTERS = 10  # between two numbers of an axis
# Bits of a braille character's dots: two columns, from the top row to the bottom one.
_DOTS = ((0x01, 0x02, 0x04, 0x40), (0x08, 0x10, 0x20, 0x80))


def draw_bar(done: float, total: float, width: int) -> str:
    """
    Draw how much of something is done.

    :param done: so much; more than ``total`` is drawn as ``total``
    :param total: of so much; positive
    :param width: characters
    :return: ``━`` for what is done, ``╌`` for the rest
    """
    full = min(width, int(width * done // total))
    return "━" * full + "╌" * (width - full)


def style_bar(text: str) -> str:
    """:return: what :func:`draw_bar` gives, with terminal colours"""
    done = text.rstrip("╌")
    return click.style(done, fg="green") + click.style(text[len(done) :], dim=True)


def style_curve(text: str) -> str:
    """:return: a line of a curve, with its terminal colour"""
    return click.style(text, fg="cyan")


def resample(values: Sequence[float], count: int) -> list[float]:
    """
    Shorten a series to the means of equal stretches of it, or stretch it by straight lines between its values.

    :param values: at least one
    :param count: how many values to return
    :return: as many values
    """
    if len(values) >= count:
        return average_bins(values, count)
    places = [index * (len(values) - 1) / max(count - 1, 1) for index in range(count)]
    return [
        values[int(place)] + (place % 1) * (values[min(int(place) + 1, len(values) - 1)] - values[int(place)])
        for place in places
    ]


def average_bins(values: Sequence[float], bins: int) -> list[float]:
    """
    Shorten a series to the means of equal stretches of it.

    :param values: the series
    :param bins: how many values to return at most
    :return: as many values, or the series itself if it is no longer than that
    """
    if len(values) <= bins:
        return list(values)
    edges = [index * len(values) // bins for index in range(bins + 1)]
    return [sum(values[start:end]) / (end - start) for start, end in pairwise(edges)]


def draw_sparkline(values: Sequence[float]) -> str:
    """
    Draw a curve that is one character high.

    :param values: at least one
    :return: a character for each
    """
    return "".join(_BLOCKS[level] for level in _compute_levels(values, len(_BLOCKS)))


def draw_curve(values: Sequence[float], height: int) -> list[str]:
    """
    Draw a curve of braille characters, which have two by four dots each.

    :param values: at least one
    :param height: characters, from the smallest value to the greatest
    :return: the lines, from the top; a character for every two values
    """
    levels = _compute_levels(values, 4 * height)
    cells = [[0] * ((len(levels) + 1) // 2) for _ in range(height)]
    for x, (previous, level) in enumerate(zip([levels[0], *levels], levels, strict=False)):
        # From the dot beside the previous one to its own: a line without gaps.
        for y in range(min(previous + 1, level), max(previous - 1, level) + 1):
            row, dot = divmod(4 * height - 1 - y, 4)
            cells[row][x // 2] |= _DOTS[x % 2][dot]
    return ["".join(chr(_BRAILLE + cell) for cell in row) for row in cells]


def draw_axis(end: int, width: int, unit: str) -> list[str]:
    """
    Draw the horizontal axis that belongs below a curve.

    :param end: what is counted there, from 0; positive
    :param width: characters
    :param unit: what is counted, as a word at the right end
    :return: the line, and the numbers below it
    """
    ticks = range(0, end + 1, _choose_tick_step(end, max(1, (width - len(unit)) // _TICK_CHARACTERS)))
    line, numbers = ["─"] * width, [" "] * width
    taken = -1
    for tick in ticks:
        place = round(tick / end * (width - 1))
        text = f"{tick:,}"
        start = min(max(0, place - len(text) // 2), width - len(text))
        if start > taken and start + len(text) < width - len(unit):
            line[place] = "┬"
            numbers[start : start + len(text)] = text
            taken = start + len(text)
    numbers[width - len(unit) :] = unit
    return ["".join(line), "".join(numbers)]


def _choose_tick_step(end: int, count: int) -> int:
    """:return: the smallest of 1, 2, 5, 10, 20, … that makes no more than so many steps"""
    steps: Iterator[int] = (factor * 10**power for power in itertools.count() for factor in (1, 2, 5))
    return next(step for step in steps if end / step <= count)


def _compute_levels(values: Sequence[float], levels: int) -> list[int]:
    """:return: for each value, where it lies between the smallest, 0, and the greatest, ``levels - 1``"""
    low, high = min(values), max(values)
    if high == low:
        return [0] * len(values)
    return [round((value - low) / (high - low) * (levels - 1)) for value in values]
