"""Runs as lines of text."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import click

from sb3_ext.cli.tables import Column, bold, dim, format_table
from sb3_ext.errors import RunError
from sb3_ext.formatting import format_duration, shorten_end, shorten_names
from sb3_ext.runs.run import Run
from sb3_ext.runs.status import RunStatus

NamedRecord = tuple[str, RunStatus | RunError]
STATUS_COLOURS = {"running": "green", "stale": "yellow", "dead": "red", "failed": "red", "corrupt": "red"}
_MEMBER_INDENT = "  "
_STATUS_WIDTH = len("completed")
_NAME_WIDTH = len("cartpole_ppo_2026-11-20_12-00-00")
_REASON_WIDTH = 60  # an error may be long; `runs show` has all of it


def format_steps(record: RunStatus) -> str:
    """:return: such as ``12345/50000 (24.7%)``; the step alone if another bound than that of steps is nearer"""
    total_steps = record.nearest_total_steps
    steps = str(record.step) if total_steps is None else f"{record.step}/{total_steps}"
    return steps if record.share is None else f"{steps} ({record.share:.1%})"


def format_rating(record: RunStatus) -> str | None:
    """:return: such as ``31.20 ± 1.65``, of an agent that plays against others"""
    if record.rating is None or record.rating_sigma is None:
        return None
    return f"{record.rating:.2f} ± {record.rating_sigma:.2f}"


def format_stage(record: RunStatus) -> str | None:
    """:return: such as ``2/3 (hard)``, of a run with a curriculum"""
    if record.stage is None or record.stages is None:
        return None
    name = "" if record.stage_name in (None, f"stage {record.stage}") else f" ({record.stage_name})"
    return f"{record.stage}/{record.stages}{name}"


def style_status(text: str) -> str:
    """:return: a status with its terminal colour"""
    return click.style(text, fg=STATUS_COLOURS.get(text.strip()))


_COLUMNS = (
    Column(min_width=_NAME_WIDTH, shorten=shorten_names),
    Column(style=style_status, gap=4),
    Column(priority=1),  # mock
    Column(priority=1),  # step
    Column(priority=3, gap=1),  # its share of all steps
    Column(priority=5),  # episodes
    Column(priority=6),  # exploration rate
    Column(priority=2),  # elapsed time
    Column(priority=7),  # process id
    Column(priority=4, min_width=len("total_steps")),  # stop reason
)


def name_below(root: Path, run: Run) -> str:
    """:return: the name of a run by which commands with this root find it, such as ``seeds/seed_0``"""
    return run.name if run.paths.root == root else run.paths.root.relative_to(root).as_posix()


def format_lines(
    runs: Sequence[NamedRecord], width: int | None, counted: Sequence[NamedRecord] | None = None
) -> list[str]:
    """
    Write runs below each other in columns. In a terminal, those of a sweep or a study are below its name.

    :param runs: name and status of each, or why it has none; runs with the same folder in their names are neighbours
    :param width: of the terminal; ``None`` for no limit
    :param counted: the runs that are counted beside the name of a sweep; ``None`` for those that are shown
    :return: a line each, with terminal colours
    """
    groups = ["" if width is None else name.rpartition("/")[0] for name, _ in runs]
    shown = [
        f"{_MEMBER_INDENT}{name[len(group) + 1 :]}" if group else name
        for group, (name, _) in zip(groups, runs, strict=True)
    ]
    rows = [(name, *_make_cells(record, width)) for name, (_, record) in zip(shown, runs, strict=True)]
    lines: list[str] = []
    for index, line in enumerate(format_table(_COLUMNS, rows, width, indent=2)):
        if groups[index] and (index == 0 or groups[index] != groups[index - 1]):
            lines.append(_format_heading(groups[index], runs if counted is None else counted, width))
        lines.append(line)
    return lines


def _format_heading(group: str, runs: Sequence[NamedRecord], width: int | None) -> str:
    """:return: such as ``seeds: 3 runs, 2 completed, 1 failed``"""
    members = [record for name, record in runs if name.rpartition("/")[0] == group]
    counts = Counter("corrupt" if isinstance(record, RunError) else record.status for record in members)
    numbers = f"{len(members)} run{'s' if len(members) > 1 else ''}: " + ", ".join(
        f"{count} {status}" for status, count in counts.most_common()
    )
    name = group if width is None else shorten_names([group], max(_NAME_WIDTH, width - len(numbers) - 4))[0]
    return f"  {bold(name)}  {dim(numbers)}"


def _make_cells(record: RunStatus | RunError, width: int | None) -> list[str]:
    if isinstance(record, RunError):
        return ["corrupt".ljust(_STATUS_WIDTH), *[""] * 7, str(record)]
    reason = _explain(record)
    step, _, share = format_steps(record).partition(" ")
    return [
        record.status.ljust(_STATUS_WIDTH),
        "mock" if record.mock else "",
        f"step={step}",
        share,
        f"ep={record.episode}",
        "" if record.epsilon is None else f"ε={record.epsilon:.4f}",
        f"[{format_duration(record.elapsed_seconds)}]",
        _describe_process(record),
        reason if width is None else shorten_end(reason, _REASON_WIDTH),
    ]


def _describe_process(record: RunStatus) -> str:
    if record.pid is None:
        return ""
    is_here = record.owner is None or record.owner.is_on_this_host()
    return f"(pid={record.pid})" if is_here else f"(pid={record.pid} on {record.host})"


def _explain(record: RunStatus) -> str:
    if record.status == "stale" and record.heartbeat_age_seconds is not None:
        return f"no heartbeat for {format_duration(record.heartbeat_age_seconds)}"
    return record.explanation
