"""Runs as lines of text."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence

import click

from sb3_ext.errors import RunError
from sb3_ext.runs.status import RunStatus

STATUS_COLOURS = {"running": "green", "stale": "yellow", "dead": "red", "failed": "red", "corrupt": "red"}
_STATUS_WIDTH = len("completed")
_REASON_WIDTH = 60  # an error may be long; `runs show` has all of it


def format_duration(seconds: float) -> str:
    """
    Write a time span as people say it.

    :param seconds: not negative
    :return: such as ``1h 23m 45s``
    """
    minutes, second = divmod(int(seconds), 60)
    hours, minute = divmod(minutes, 60)
    days, hour = divmod(hours, 24)
    parts = [f"{count}{unit}" for count, unit in ((days, "d"), (hour, "h"), (minute, "m")) if count]
    return " ".join([*parts, f"{second}s"])


def format_bytes(size: float) -> str:
    """
    Write a size in the largest unit that leaves at least 1 before the point.

    :param size: bytes
    :return: such as ``12.3 MB``; units are powers of 1000
    """
    for unit in ("bytes", "kB", "MB", "GB"):
        if size < 1000:
            return f"{size:.0f} {unit}" if unit == "bytes" else f"{size:.1f} {unit}"
        size /= 1000
    return f"{size:.1f} TB"


def format_steps(record: RunStatus) -> str:
    """:return: such as ``12345/50000 (24.7%)``"""
    if not record.total_steps:
        return str(record.step)
    return f"{record.step}/{record.total_steps} ({record.step / record.total_steps:.1%})"


def format_rating(record: RunStatus) -> str | None:
    """:return: such as ``31.20 ± 1.65``, of an agent that plays against others"""
    if record.rating is None or record.rating_sigma is None:
        return None
    return f"{record.rating:.2f} ± {record.rating_sigma:.2f}"


def format_lines(runs: Sequence[tuple[str, RunStatus | RunError]]) -> list[str]:
    """
    Write runs below each other in columns.

    :param runs: name and status of each, or why it has none
    :return: a line each, with terminal colours
    """
    rows = [_make_cells(record) if isinstance(record, RunStatus) else None for _, record in runs]
    widths = [max(map(len, column)) for column in zip(*filter(None, rows), strict=True)]
    name_width = max((len(name) for name, _ in runs), default=0)
    lines = []
    for (name, record), row in zip(runs, rows, strict=True):
        if row is None:
            status, details = "corrupt", str(record)
        else:
            assert isinstance(record, RunStatus)
            status = record.status
            details = "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True) if width)
        coloured = click.style(status.ljust(_STATUS_WIDTH), fg=STATUS_COLOURS.get(status))
        lines.append(f"  {name.ljust(name_width)}    {coloured}  {details}".rstrip())
    return lines


def _make_cells(record: RunStatus) -> list[str]:
    return [
        f"step={format_steps(record)}",
        f"ep={record.episode}",
        "" if record.epsilon is None else f"ε={record.epsilon:.4f}",
        f"[{format_duration(record.elapsed_seconds)}]",
        "" if record.pid is None else f"(pid={record.pid})",
        _explain(record),
    ]


def _explain(record: RunStatus) -> str:
    if record.status == "stale":
        return f"no heartbeat for {format_duration(record.heartbeat_age_seconds)}"
    return textwrap.shorten(record.stop_reason or "", _REASON_WIDTH, placeholder=" …")
