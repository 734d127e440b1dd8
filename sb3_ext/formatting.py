"""Format durations, sizes and long names for people."""

from __future__ import annotations

import itertools
import re
from collections.abc import Sequence
from pathlib import Path

from rich.cells import cell_len, set_cell_size

_ELLIPSIS = "…"
_MAX_JOINED = 40


def format_duration(seconds: float) -> str:
    """
    Format a time span with its units, rounded down.

    :param seconds: not negative
    :return: such as ``1h 23m 45s``; below ten seconds with a tenth, ``3.2s``
    """
    if seconds < 10:
        return f"{int(10 * seconds) / 10:.1f}s"
    minutes, second = divmod(int(seconds), 60)
    hours, minute = divmod(minutes, 60)
    days, hour = divmod(hours, 24)
    parts = [f"{count}{unit}" for count, unit in ((days, "d"), (hour, "h"), (minute, "m")) if count]
    return " ".join([*parts, f"{second}s"])


def format_bytes(size: float) -> str:
    """
    Format a size in the largest unit in which it is at least 1.

    :param size: bytes
    :return: such as ``12.3 MB``; units are powers of 1000
    """
    for unit in ("bytes", "kB", "MB", "GB"):
        if size < 1000:
            return f"{size:.0f} {unit}" if unit == "bytes" else f"{size:.1f} {unit}"
        size /= 1000
    return f"{size:.1f} TB"


def shorten_end(text: str, width: int) -> str:
    """
    :param text: a line
    :param width: columns of a terminal, where a wide character takes two; at least 1
    :return: the text if it fits; else its beginning and ``…``
    """
    return text if cell_len(text) <= width else _join(text, width - 1, 0)


def shorten_ends(texts: Sequence[str], width: int) -> list[str]:
    """:return: :func:`shorten_end` of each"""
    return [shorten_end(text, width) for text in texts]


def shorten_middle(text: str, width: int) -> str:
    """
    :param text: a name, whose end often distinguishes it from others
    :param width: columns of a terminal, where a wide character takes two; at least 1
    :return: the text if it fits; else its beginning, ``…`` and its end
    """
    return text if cell_len(text) <= width else _join(text, width // 2, (width - 1) // 2)


def shorten_names(names: Sequence[str], width: int) -> list[str]:
    """
    Shorten names as :func:`shorten_middle` does, but keep as much of the end or of the beginning as makes them differ.

    :param names: such as those of runs
    :param width: columns of a terminal; at least 1
    :return: the short names, in the same order; some are the same if no cut of that width makes them differ
    """
    room = width - 1
    for end in sorted(range(room + 1), key=lambda end: abs(end - room // 2)):
        short = [name if cell_len(name) <= width else _join(name, room - end, end) for name in names]
        if len(set(short)) == len(set(names)):
            return short
    return [shorten_middle(name, width) for name in names]


def name_paths(paths: Sequence[Path]) -> list[str]:
    """
    :param paths: of runs
    :return: the last part of each path, with as many parents as make it and its siblings unique
    """
    absolute = [path.absolute() for path in paths]
    counts = [_count_unique_parts(path, absolute) for path in absolute]
    depths: dict[Path, int] = {}
    for path, count in zip(absolute, counts, strict=True):
        depths[path.parent] = max(count, depths.get(path.parent, 1))
    return [Path(*path.parts[-depths[path.parent] :]).as_posix() for path in absolute]


def name_groups(groups: Sequence[Sequence[str]]) -> list[str]:
    """
    Name groups of runs by the common beginning of the names of their runs.

    :param groups: the names of the runs of each group
    :return: a name for each group: a single run's own name; all names of its runs if the beginning is not unique
    """
    beginnings = [_compute_beginning(names) for names in groups]
    return [
        beginning if beginning and beginnings.count(beginning) == 1 else _join_names(names)
        for names, beginning in zip(groups, beginnings, strict=True)
    ]


def _compute_beginning(names: Sequence[str]) -> str:
    """Return the common beginning in whole words, such as ``ppo`` of ``ppo_seed_1`` and ``ppo_seed_2``."""
    if len(names) == 1:
        return names[0]
    words = zip(*(re.split("([-_./ ])", name) for name in names), strict=False)
    common = "".join(word for word, *_ in itertools.takewhile(lambda same: len(set(same)) == 1, words))
    return common.strip("-_./ ").removesuffix("seed").strip("-_./ ")


def _join_names(names: Sequence[str]) -> str:
    joined = ", ".join(names)
    return joined if len(joined) <= _MAX_JOINED or len(names) < 3 else f"{names[0]} … {names[-1]}"


def _count_unique_parts(path: Path, paths: Sequence[Path]) -> int:
    others = [other.parts for other in paths if other != path]
    counts = range(1, len(path.parts))
    is_unique = (all(other[-count:] != path.parts[-count:] for other in others) for count in counts)
    return next((count for count, unique in zip(counts, is_unique, strict=True) if unique), len(path.parts))


def _join(text: str, start: int, end: int) -> str:
    """Join the beginning and the end of a text, each of a given width, or one less where a wide character is cut."""
    backwards = set_cell_size(text[::-1], end).rstrip(" ") if end else ""
    return set_cell_size(text, start).rstrip(" ") + _ELLIPSIS + backwards[::-1]
