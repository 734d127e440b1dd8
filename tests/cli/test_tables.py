"""Tables of text, at the widths that terminals have."""

from __future__ import annotations

import fcntl
import os
import struct
import termios
from pathlib import Path

import click
import pytest
from rich.cells import cell_len

from sb3_ext.cli.tables import Column, format_blocks, format_definitions, format_table, measure_width, wrap
from sb3_ext.formatting import shorten_names

COLUMNS = [
    Column("run", min_width=12, shorten=shorten_names),
    Column("status"),
    Column("steps", priority=1, align=">"),
    Column("elapsed", priority=3),
    Column("reason", priority=2, min_width=8),
]
ROWS = [
    ("lr_0.001_gamma_0.99_seed_1", "running", "10,000", "1h 2m 3s", ""),
    ("学習率を変えた長い名前の実験", "failed", "9", "7.0s", "error: ValueError: no such thing"),
]


def format_plain(width: int | None, indent: int = 0) -> list[str]:
    return [click.unstyle(line) for line in format_table(COLUMNS, ROWS, width, indent=indent)]


def test_without_a_limit_everything_is_there() -> None:
    assert format_plain(None) == [
        "run                           status    steps  elapsed   reason",
        "lr_0.001_gamma_0.99_seed_1    running  10,000  1h 2m 3s",
        "学習率を変えた長い名前の実験  failed        9  7.0s      error: ValueError: no such thing",
    ]


def test_texts_are_shortened_before_columns_are_left_out() -> None:
    assert format_plain(60) == [
        "run              status    steps  elapsed   reason",
        "lr_0.00…_seed_1  running  10,000  1h 2m 3s",
        "学習率…の実験    failed        9  7.0s      error: ValueErr…",
    ]


def test_columns_are_left_out_by_their_priority() -> None:
    assert format_plain(46) == [
        "run            status    steps  reason",
        "lr_0.0…seed_1  running  10,000",
        "学習率…の実験  failed        9  error: ValueE…",
        "no room for: elapsed",
    ]
    assert format_plain(34)[-1] == "no room for: elapsed, reason"
    assert format_plain(22) == [
        "run            status",
        "lr_0.0…seed_1  running",
        "学習率…の実験  failed",
        "no room for: steps,",
        "elapsed, reason",
    ]


@pytest.mark.parametrize("indent", [0, 2])
def test_no_line_is_wider_than_the_terminal(indent: int) -> None:
    widths = range(22 + indent, 110)
    assert [width for width in widths if max(map(cell_len, format_plain(width, indent))) > width] == []


def test_columns_without_text_and_a_head_without_titles_are_left_out() -> None:
    columns = [Column(), Column(), Column(align=">"), Column()]
    assert format_table(columns, [("a", "", "7", ""), ("bcd", "", "10", "x")], 80, indent=2) == [
        "  a     7",
        "  bcd  10  x",
    ]
    assert format_table(columns, [], 80) == []


def test_columns_without_room_go_into_a_table_below() -> None:
    columns = [Column(), *(Column(f"run{n}", align=">") for n in range(5))]
    rows = [("steps", *(f"{n}00" for n in range(5)))]
    blocks = [[click.unstyle(line) for line in block] for block in format_blocks(columns, rows, 19)]
    assert blocks == [
        ["       run0  run1", "steps   000   100"],
        ["       run2  run3", "steps   200   300"],
        ["       run4", "steps   400"],
    ]
    assert len(format_blocks(columns, rows, None)) == 1
    assert len(format_blocks(columns, rows, 3)) == 5


def test_a_long_meaning_continues_below_its_first_line() -> None:
    rows = [("path", "/a/path/that/is/longer/than/the/line"), None, ("command", "sb3-ext train my.yaml --seed 3")]
    assert [click.unstyle(line) for line in format_definitions(rows, 32)] == [
        "  path     /a/path/that/is/longer/than/the/line",
        "",
        "  command  sb3-ext train my.yaml",
        "           --seed 3",
    ]
    assert click.unstyle(format_definitions(rows, None)[-1]) == "  command  sb3-ext train my.yaml --seed 3"


@pytest.mark.parametrize(("columns", "width"), [(80, 80), (100, 100), (160, 160), (0, 80)])
def test_a_terminal_is_as_wide_as_it_says(columns: int, width: int) -> None:
    leader, follower = os.openpty()
    fcntl.ioctl(follower, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
    with open(follower, "w") as stream:
        assert measure_width(stream) == width
    os.close(leader)


def test_a_stream_that_is_not_a_terminal_has_no_width(tmp_path: Path) -> None:
    with (tmp_path / "list.txt").open("w") as stream:
        assert measure_width(stream) is None


def test_text_is_broken_between_words_only() -> None:
    assert wrap("some well-known words here", 20) == ["some well-known", "words here"]
    assert wrap("x" * 50 + " y", 20) == ["x" * 50, "y"]
    assert wrap("a b", None) == ["a b"]
