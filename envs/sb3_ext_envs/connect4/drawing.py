"""Draw a position."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

_CELL_PIXELS = 48
_BOARD_COLOUR = (30, 80, 180)
_HOLE_COLOUR = (235, 238, 245)
_STONE_COLOURS = ((220, 50, 47), (250, 200, 30))


def draw_text(planes: NDArray[np.int8]) -> str:
    """
    :param planes: the stones of the player who began, then the other's, shape (2, rows, cols)
    :return: a line a row, ``X`` for the player who began, ``O`` for the other, and one with the columns' numbers
    """
    cells = np.array([".", "X", "O"])[planes[0] + 2 * planes[1]]
    width = len(str(cells.shape[1] - 1))
    lines = [" ".join(cell.rjust(width) for cell in row) for row in cells]
    numbers = " ".join(str(col).rjust(width) for col in range(cells.shape[1]))
    return "\n".join([*lines, numbers])


def draw_picture(planes: NDArray[np.int8]) -> NDArray[np.uint8]:
    """
    :param planes: the stones of the player who began (red), then the other's (yellow), shape (2, rows, cols)
    :return: shape (48 * rows, 48 * cols, 3)
    """
    _, rows, cols = planes.shape
    image = Image.new("RGB", (cols * _CELL_PIXELS, rows * _CELL_PIXELS), _BOARD_COLOUR)
    drawing = ImageDraw.Draw(image)
    for row in range(rows):
        for col in range(cols):
            left, top = col * _CELL_PIXELS, row * _CELL_PIXELS
            owner = next((player for player in (0, 1) if planes[player, row, col]), None)
            colour = _HOLE_COLOUR if owner is None else _STONE_COLOURS[owner]
            drawing.ellipse((left + 5, top + 5, left + _CELL_PIXELS - 6, top + _CELL_PIXELS - 6), fill=colour)
    return np.asarray(image)
