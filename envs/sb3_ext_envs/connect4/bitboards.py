"""
Boards as bits: the cells of a player's stones, and whether they form a line.

A column has a bit for each row, from the bottom up, and one more that stays empty, so that no line continues from
the top of a column into the next one. Columns follow each other; boards of more than 64 bits take several words.
(The layout is the well-known one of John Tromp's Fhourstones, https://tromp.github.io/c4/fhour.html.)
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import numpy as np
from numpy.typing import NDArray

WORD_BITS = 64
LARGEST_ROWS = 60

Bitboards = NDArray[np.uint64]
"""Shape (..., words)."""


class BitLayout:
    """
    The bit of each cell, and the distances between bits in a line.

    :param rows: of the board, at least 1, at most 60
    :param cols: of the board, at least 1
    :param in_a_row: stones in a line that win, at least 2 and at most the longer side of the board
    :raises ValueError: if a number is out of range
    """

    def __init__(self, rows: int, cols: int, in_a_row: int) -> None:
        if not 1 <= rows <= LARGEST_ROWS:
            raise ValueError(f"rows must be from 1 to {LARGEST_ROWS}, but got {rows}")
        if cols < 1:
            raise ValueError(f"cols must be positive, but got {cols}")
        if not 2 <= in_a_row <= max(rows, cols):
            raise ValueError(
                f"in_a_row must be from 2 to the longer side of the board, {max(rows, cols)}, but got {in_a_row}"
            )
        self.rows, self.cols, self.in_a_row = rows, cols, in_a_row
        self.column_bits = rows + 1
        self.num_words = -(-cols * self.column_bits // WORD_BITS)
        has_columns, has_rows = in_a_row <= rows, in_a_row <= cols
        steps = {1: has_columns, self.column_bits: has_rows}
        steps |= dict.fromkeys((self.column_bits - 1, self.column_bits + 1), has_columns and has_rows)
        self._line_steps = [step for step, fits in steps.items() if fits]
        self._distances = np.array(self._line_steps, np.uint64)
        #: a stone in each cell, counted from the bottom; shape (cols, rows, words)
        self.cell_bits: Bitboards = np.zeros((cols, rows, self.num_words), np.uint64)
        bits = np.arange(cols)[:, None] * self.column_bits + np.arange(rows)
        masks = np.left_shift(np.uint64(1), (bits % WORD_BITS).astype(np.uint64))
        np.put_along_axis(self.cell_bits, (bits // WORD_BITS)[..., None], masks[..., None], axis=-1)

    def has_line(self, stones: Bitboards) -> NDArray[np.bool_]:
        """
        :param stones: of one player on each board, shape (boards, words)
        :return: whether there are ``in_a_row`` in a row, a column or a diagonal, shape (boards,)
        """
        if self.num_words == 1:  # all directions at once, shape (boards, directions)
            lines = self._find_lines(stones, lambda starts, cells: starts >> np.uint64(cells) * self._distances)
            return np.asarray((lines != 0).any(axis=-1))
        lines = np.zeros_like(stones)
        for step in self._line_steps:
            lines |= self._find_lines(stones, partial(_shift_cells, step))
        return np.asarray(lines.any(axis=-1))

    def _find_lines(self, stones: Bitboards, shift: Callable[[Bitboards, int], Bitboards]) -> Bitboards:
        """:return: bits where a line of ``in_a_row`` begins; ``shift`` moves stones by a number of cells"""
        starts, length = stones, 1  # bits where a line of this length begins
        while length < self.in_a_row:
            longer = min(length, self.in_a_row - length)
            starts = starts & shift(starts, longer)
            length += longer
        return starts

    def unpack(self, stones: Bitboards) -> NDArray[np.int8]:
        """
        :param stones: shape (..., words)
        :return: 1 where there is a stone, else 0; row 0 is the top; shape (..., rows, cols)
        """
        bits = np.unpackbits(
            stones.astype("<u8", order="C").view(np.uint8),
            axis=-1,
            count=self.cols * self.column_bits,
            bitorder="little",
        )
        columns = bits.reshape(*stones.shape[:-1], self.cols, self.column_bits)[..., : self.rows]
        return np.ascontiguousarray(columns.swapaxes(-1, -2)[..., ::-1, :]).view(np.int8)


def _shift_cells(step: int, words: Bitboards, cells: int) -> Bitboards:
    return _shift_down(words, cells * step)


def _shift_down(words: Bitboards, distance: int) -> Bitboards:
    """:return: the bits shifted towards the first one, across words; bits beyond it are dropped"""
    skipped, bits = divmod(distance, WORD_BITS)
    shifted = np.zeros_like(words)
    kept = words[..., skipped:]
    shifted[..., : kept.shape[-1]] = kept >> np.uint64(bits)
    if bits and kept.shape[-1] > 1:
        shifted[..., : kept.shape[-1] - 1] |= kept[..., 1:] << np.uint64(WORD_BITS - bits)
    return shifted
