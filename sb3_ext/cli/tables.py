"""Tables of text that fit the terminal: a narrow one gets fewer columns, a file or a pipe gets everything."""

from __future__ import annotations

import itertools
import os
import sys
import textwrap
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Literal, TextIO

import click
from rich.cells import cell_len

from sb3_ext.formatting import shorten_ends

dim: Callable[[str], str] = partial(click.style, dim=True)
bold: Callable[[str], str] = partial(click.style, bold=True)

_MIN_WRAPPED_WIDTH = 20
_UNKNOWN_WIDTH = 80
_INDENT = 2


@dataclass(frozen=True)
class Column:
    """
    A column of a table.

    :param title: what stands above it; a table without any titles has no line for them
    :param priority: 0 for a column that is always there; of the others those with the greatest number are left out
        first where the terminal is too narrow
    :param align: ``<`` left, ``>`` right
    :param min_width: its texts are shortened to as little as this before a column is left out; ``None``: they are not
    :param shorten: how, given all its texts and a width
    :param gap: spaces between this column and the one before it
    :param style: adds terminal colours to a text
    """

    title: str = ""
    priority: int = 0
    align: Literal["<", ">"] = "<"
    min_width: int | None = None
    shorten: Callable[[Sequence[str], int], list[str]] = shorten_ends
    gap: int = 2
    style: Callable[[str], str] = str


def measure_width(stream: TextIO | None = None) -> int | None:
    """
    :param stream: where text goes; standard output by default
    :return: the width of the terminal there; ``None`` if it is not a terminal: then nothing is shortened or left out
    """
    stream = sys.stdout if stream is None else stream
    if not stream.isatty():
        return None
    # Not shutil's, which always uses standard output; 0 is the width of a terminal that does not report one.
    return os.get_terminal_size(stream.fileno()).columns or _UNKNOWN_WIDTH


def format_table(
    columns: Sequence[Column], rows: Sequence[Sequence[str]], width: int | None, *, indent: int = 0
) -> list[str]:
    """
    Write rows below each other.

    :param columns: from left to right; those without any text are left out
    :param rows: a text for each column
    :param width: of the terminal; ``None`` for no limit
    :param indent: spaces at the beginning of each line
    :return: the lines, with terminal colours; at the end, which columns with a title have no room
    """
    room = None if width is None else width - indent
    filled = [column for column in _make_columns(columns, rows) if any(column.texts)]
    chosen = list(filled)
    while room is not None and _measure(chosen) > room and any(column.look.priority for column in chosen):
        chosen.remove(max(reversed(chosen), key=lambda column: column.look.priority))
    lines = _format_lines(chosen, room)
    missing = [column.look.title for column in filled if column not in chosen and column.look.title]
    if missing:
        lines += wrap(f"no room for: {', '.join(missing)}", room, style=dim)
    return [" " * indent + line for line in lines]


def format_blocks(
    columns: Sequence[Column], rows: Sequence[Sequence[str]], width: int | None, *, fixed: int = 1
) -> list[list[str]]:
    """
    Write rows below each other, in several tables where one of all columns has no room.

    :param columns: from left to right
    :param rows: a text for each column
    :param width: of the terminal; ``None`` for no limit
    :param fixed: how many columns, from the left, are in each of the tables
    :return: the lines of each table
    """
    made = _make_columns(columns, rows)
    first, others = made[:fixed], made[fixed:]
    blocks: list[list[str]] = []
    while others or not blocks:
        counts = range(len(others), 0, -1)
        count = next((count for count in counts if width is None or _measure(first + others[:count]) <= width), 1)
        blocks.append(_format_lines(first + others[:count], width))
        others = others[count:]
    return blocks


def format_definitions(rows: Sequence[tuple[str, str] | None], width: int | None) -> list[str]:
    """
    Write names, and beside each its meaning, which may take several lines.

    :param rows: ``None`` is an empty line
    :param width: of the terminal; ``None`` for no limit
    :return: the lines, with terminal colours
    """
    name_width = max((cell_len(row[0]) for row in rows if row is not None), default=0) + 2
    lines = []
    for name, meaning in (row or ("", "") for row in rows):
        paragraph = wrap(meaning, None if width is None else width - name_width - _INDENT) or [""]
        spaces = " " * (name_width - cell_len(name))
        lines.append(f"{' ' * _INDENT}{dim(name) if name else ''}{spaces}{paragraph[0]}".rstrip())
        lines += [" " * (_INDENT + name_width) + line for line in paragraph[1:]]
    return lines


def wrap(text: str, width: int | None, *, indent: int = 0, style: Callable[[str], str] = str) -> list[str]:
    """
    Break a text between words, and never within one: a path that is longer than a line can still be copied.

    :param text: a paragraph
    :param width: of the terminal; ``None`` to break nothing
    :param indent: spaces at the beginning of each line
    :param style: adds terminal colours to a line
    :return: the lines
    """
    lines = [text]
    if width is not None:
        room = max(width - indent, _MIN_WRAPPED_WIDTH)
        lines = textwrap.wrap(text, room, break_long_words=False, break_on_hyphens=False)
    return [" " * indent + style(line) for line in lines]


def pack(parts: Sequence[str], width: int) -> list[str]:
    """
    Put texts beside each other, as many in a line as have room.

    :param parts: texts, with terminal colours or without; none is broken
    :param width: of the terminal
    :return: the lines
    """
    lines: list[str] = []
    for part in parts:
        longer = f"{lines[-1]}   {part}" if lines else part
        if lines and cell_len(click.unstyle(longer)) <= width:
            lines[-1] = longer
        else:
            lines.append(part)
    return lines


@dataclass(frozen=True, eq=False)
class _Filled:
    """A column with its texts."""

    look: Column
    texts: tuple[str, ...]

    @property
    def width(self) -> int:
        return max(map(cell_len, (self.look.title, *self.texts)))

    @property
    def least_width(self) -> int:
        return self.width if self.look.min_width is None else min(self.width, self.look.min_width)

    def format(self, width: int) -> list[str]:
        """:return: the title, then the texts, each as wide as that"""
        [title] = self.look.shorten([self.look.title], width)
        return [
            self._pad(title, width, bold),
            *(self._pad(text, width, self.look.style) for text in self.look.shorten(self.texts, width)),
        ]

    def _pad(self, text: str, width: int, style: Callable[[str], str]) -> str:
        spaces = " " * (width - cell_len(text))
        styled = style(text) if text else ""
        return styled + spaces if self.look.align == "<" else spaces + styled


def _make_columns(columns: Sequence[Column], rows: Sequence[Sequence[str]]) -> list[_Filled]:
    return [_Filled(column, tuple(row[index] for row in rows)) for index, column in enumerate(columns)]


def _measure(columns: Sequence[_Filled]) -> int:
    """:return: how wide a table is at least"""
    return sum(column.least_width for column in columns) + sum(column.look.gap for column in columns[1:])


def _format_lines(columns: Sequence[_Filled], room: int | None) -> list[str]:
    widths = [column.width for column in columns]
    gaps = [0, *(column.look.gap for column in columns[1:])]
    while room is not None and sum(widths) + sum(gaps) > room:
        # Take from the widest one that may be shortened.
        excess = [width if width > column.least_width else 0 for column, width in zip(columns, widths, strict=True)]
        if not any(excess):
            break
        widths[excess.index(max(excess))] -= 1
    cells = zip(*(column.format(width) for column, width in zip(columns, widths, strict=True)), strict=True)
    spaces = [" " * gap for gap in gaps]
    lines = ["".join(itertools.chain(*zip(spaces, row, strict=True))).rstrip() for row in cells]
    return lines if any(column.look.title for column in columns) else lines[1:]
