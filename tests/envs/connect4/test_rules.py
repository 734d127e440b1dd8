from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
from numpy.typing import NDArray
from sb3_ext_envs.connect4.bitboards import Bitboards, BitLayout
from sb3_ext_envs.connect4.rules import Connect4Rules

SIZES = [(6, 7, 4), (3, 4, 3), (1, 9, 3), (9, 1, 3), (2, 2, 2), (9, 11, 5), (4, 20, 9), (60, 3, 40), (12, 12, 12)]
ONE_BOARD = np.array([0])


def list_lines(rows: int, cols: int, in_a_row: int) -> Iterator[list[tuple[int, int]]]:
    """All lines as (row, col), row 0 at the top: a slow reference implementation."""
    for row in range(rows):
        for col in range(cols):
            for down, right in ((0, 1), (1, 0), (1, 1), (1, -1)):
                line = [(row + i * down, col + i * right) for i in range(in_a_row)]
                if all(0 <= r < rows and 0 <= c < cols for r, c in line):
                    yield line


def pack(layout: BitLayout, planes: NDArray[np.bool_]) -> Bitboards:
    """From (boards, rows, cols), row 0 at the top, to bitboards, cell by cell."""
    words = np.zeros((len(planes), layout.num_words), np.uint64)
    for board, row, col in zip(*np.nonzero(planes), strict=True):
        word, bit = divmod(int(col * (layout.rows + 1) + layout.rows - 1 - row), 64)
        words[board, word] |= np.uint64(1 << bit)
    return words


@pytest.mark.parametrize("size", SIZES)
def test_every_line_is_found_but_none_with_a_stone_missing(size: tuple[int, int, int]) -> None:
    layout, lines = BitLayout(*size), list(list_lines(*size))
    planes = np.zeros((len(lines), *size[:2]), np.bool_)
    for plane, line in zip(planes, lines, strict=True):
        plane[tuple(zip(*line, strict=True))] = True

    assert layout.has_line(pack(layout, planes)).all()
    for stone in range(size[2]):
        lacking = planes.copy()
        for plane, line in zip(lacking, lines, strict=True):
            plane[line[stone]] = False
        assert not layout.has_line(pack(layout, lacking)).any()


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("density", [0.3, 0.6, 0.8])
def test_lines_among_random_stones(size: tuple[int, int, int], density: float) -> None:
    layout, lines = BitLayout(*size), list(list_lines(*size))
    planes = np.random.default_rng(1).random((100, *size[:2])) < density
    expected = [any(all(plane[cell] for cell in line) for line in lines) for plane in planes]

    assert layout.has_line(pack(layout, planes)).tolist() == expected
    assert np.array_equal(layout.unpack(pack(layout, planes)), planes)


@pytest.mark.parametrize(
    "cells",
    [
        pytest.param([(1, 0), (0, 0), (5, 1), (4, 1)], id="up a column and on in the next"),
        pytest.param([(5, 5), (5, 6), (4, 0), (4, 1)], id="along a row and on in the one above"),
        pytest.param([(1, 0), (0, 1), (5, 1), (4, 2)], id="a diagonal that leaves at the top"),
        pytest.param([(3, 5), (2, 6), (1, 0), (0, 1)], id="a diagonal that leaves at the side"),
    ],
)
def test_lines_do_not_wrap_around_the_edges(cells: list[tuple[int, int]]) -> None:
    layout, planes = BitLayout(6, 7, 4), np.zeros((1, 6, 7), np.bool_)
    planes[0][tuple(zip(*cells, strict=True))] = True

    assert not layout.has_line(pack(layout, planes)).any()


FORCED_LINES = {
    "first, column at the left edge": ("0101010", 0),
    "second, column at the right edge": ("06061626", 1),
    "first, row at the left edge": ("0011223", 0),
    "second, row at the right edge": ("06051413", 1),
    "first, diagonal to the right": ("01122323353", 0),
    "second, diagonal to the right": ("601122323353", 1),
    "first, diagonal to the left": ("65544343313", 0),
    "second, diagonal to the left": ("065544343313", 1),
    "first, the gap in a row": ("0011332", 0),
    "second, with the last stone on the full board": ("043450046126602110266233423241535503161455", 1),
    "nobody, the board is full": ("062600630412502111336032142154456536543452", None),
}


@pytest.mark.parametrize(("moves", "winner"), FORCED_LINES.values(), ids=FORCED_LINES.keys())
def test_forced_lines(moves: str, winner: int | None) -> None:
    rules = Connect4Rules(1)
    for ply, move in enumerate(moves):
        assert rules.get_movers()[0] == ply % 2
        assert rules.find_legal(ONE_BOARD)[0, int(move)]
        is_won, is_over = rules.play(ONE_BOARD, np.array([int(move)]))
        assert bool(is_over[0]) == (ply == len(moves) - 1)
        assert bool(is_won[0]) == (bool(is_over[0]) and winner is not None)
    assert winner is None or winner == (len(moves) - 1) % 2


def test_a_full_column_is_illegal() -> None:
    rules = Connect4Rules(1, rows=2, cols=3, in_a_row=3)
    for _ in range(2):
        rules.play(ONE_BOARD, np.array([1]))

    assert rules.find_legal(ONE_BOARD).tolist() == [[True, False, True]]


def test_planes_begin_with_own_stones_and_the_top_row() -> None:
    rules = Connect4Rules(2, rows=2, cols=3, in_a_row=3)
    for move in (0, 0, 2):
        rules.play(np.array([1]), np.array([move]))
    first, second = rules.draw_planes(np.array([1, 1]), np.array([0, 1]))

    assert first.tolist() == [[[0, 0, 0], [1, 0, 1]], [[1, 0, 0], [0, 0, 0]]]
    assert second.tolist() == first[::-1].tolist()
    assert not rules.draw_planes(np.array([0]), np.array([0])).any()


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"rows": 0}, "rows must be from 1 to 60, but got 0"),
        ({"rows": 61}, "rows must be from 1 to 60, but got 61"),
        ({"cols": 0}, "cols must be positive, but got 0"),
        ({"in_a_row": 1}, "in_a_row must be from 2 to the longer side of the board, 7, but got 1"),
        ({"in_a_row": 8}, "in_a_row must be from 2 to the longer side of the board, 7, but got 8"),
        ({"rows": 1, "cols": 1}, "longer side of the board, 1, but got 4"),
    ],
)
def test_invalid_parameters_are_refused(params: dict[str, int], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Connect4Rules(1, **params)


@pytest.mark.parametrize(("rows", "cols"), [(6, 7), (4, 5), (9, 12)])
def test_sequences_are_played_as_their_moves_one_by_one(rows: int, cols: int) -> None:
    generator = np.random.default_rng(rows)
    slow, quick = (Connect4Rules(40, rows, cols, 4) for _ in range(2))
    boards = np.arange(40)[::-1]
    for rules in (slow, quick):
        rules.play(boards[:20], np.arange(20) % cols)  # half of the boards are not empty
    sequences = np.full((40, 2 * rows), -1)
    for ply in range(sequences.shape[1]):
        rows_left = np.flatnonzero(generator.random(40) < 0.9) if ply else np.arange(40)
        rows_left = rows_left[(sequences[rows_left, :ply] >= 0).all(axis=1)]
        legal = slow.find_legal(boards[rows_left])
        rows_left, legal = rows_left[legal.any(axis=1)], legal[legal.any(axis=1)]
        sequences[rows_left, ply] = (generator.random(legal.shape) * legal).argmax(axis=1)
        slow.play(boards[rows_left], sequences[rows_left, ply])

    quick.play_sequences(boards, sequences)

    assert slow.plies.max() > 5
    for name in ("stones", "heights", "plies"):
        assert np.array_equal(getattr(quick, name), getattr(slow, name))
        assert getattr(quick, name).dtype == getattr(slow, name).dtype
    before = quick.plies.copy()
    quick.play_sequences(boards[:3], np.zeros((3, 0), np.int16))
    assert np.array_equal(quick.plies, before)
