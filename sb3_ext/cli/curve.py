"""Curves made of characters."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

_BLOCKS = "▁▂▃▄▅▆▇█"
_BRAILLE = 0x2800
# Bits of a braille character's dots: two columns, from the top row to the bottom one.
_DOTS = ((0x01, 0x02, 0x04, 0x40), (0x08, 0x10, 0x20, 0x80))


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
    return "".join(_BLOCKS[level] for level in _find_levels(values, len(_BLOCKS)))


def draw_curve(values: Sequence[float], height: int) -> list[str]:
    """
    Draw a curve of braille characters, which have two by four dots each.

    :param values: at least one
    :param height: characters, from the smallest value to the greatest
    :return: the lines, from the top; a character for every two values
    """
    levels = _find_levels(values, 4 * height)
    cells = [[0] * ((len(levels) + 1) // 2) for _ in range(height)]
    for x, (previous, level) in enumerate(zip([levels[0], *levels], levels, strict=False)):
        # From the dot beside the previous one to its own: a line without gaps.
        for y in range(min(previous + 1, level), max(previous - 1, level) + 1):
            row, dot = divmod(4 * height - 1 - y, 4)
            cells[row][x // 2] |= _DOTS[x % 2][dot]
    return ["".join(chr(_BRAILLE + cell) for cell in row) for row in cells]


def _find_levels(values: Sequence[float], levels: int) -> list[int]:
    """:return: for each value, where it lies between the smallest, 0, and the greatest, ``levels - 1``"""
    low, high = min(values), max(values)
    if high == low:
        return [0] * len(values)
    return [round((value - low) / (high - low) * (levels - 1)) for value in values]
