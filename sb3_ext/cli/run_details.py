"""One run as a page of text."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import Any

from sb3_ext.cli.run_lines import format_rating, format_stage, format_steps, style_status
from sb3_ext.cli.tables import bold, format_definitions
from sb3_ext.formatting import format_bytes, format_duration
from sb3_ext.runs.run import LIVE_STATUSES, Run
from sb3_ext.runs.status import RunStatus


def format_details(run: Run, record: RunStatus, meta: dict[str, Any], width: int | None) -> str:
    """
    Write everything worth knowing about a run.

    :param run: the run
    :param record: its status
    :param meta: its ``meta.json``, empty if it has none
    :param width: of the terminal; ``None`` for no limit
    :return: lines of a label and a value, with terminal colours; what is not known is left out
    """
    rows: list[tuple[str, str] | None] = []
    for part in (_list_progress(record), _list_course(record), _list_files(run, record), _list_meta(meta)):
        rows += [(name, str(value)) for name, value in part if value is not None]
        rows.append(None)
    lines = [f"{bold(run.name)}  {style_status(record.status)}", *format_definitions(rows, width)]
    return "\n".join(lines).rstrip()


_Rows = Iterator[tuple[str, Any]]


def _list_progress(record: RunStatus) -> _Rows:
    if record.status in LIVE_STATUSES:
        yield "phase", record.phase
    yield "environment", "mock: observations and rewards are noise" if record.mock else None
    yield "steps", format_steps(record)
    yield "episodes", record.episode
    yield "ε", None if record.epsilon is None else f"{record.epsilon:.4f}"
    yield "mean return", _round(record.episode_return_mean)
    yield "best evaluation", _round(record.best_evaluation)
    for name, value in (record.other_evaluations or {}).items():
        yield f"evaluation {name}", _round(value)
    yield "rating", format_rating(record)
    yield "stage", format_stage(record)
    yield "speed", None if record.fps is None else f"{record.fps:.0f} steps/s"


def _list_course(record: RunStatus) -> _Rows:
    yield "started", _format_time(record.start_time)
    yield "elapsed", format_duration(record.elapsed_seconds)
    if record.status in LIVE_STATUSES:
        yield "left", None if record.eta_seconds is None else format_duration(record.eta_seconds)
        age = record.heartbeat_age_seconds
        yield "last heartbeat", None if age is None else f"{format_duration(age)} ago"
    else:
        yield "last heartbeat", _format_time(record.last_heartbeat)
    yield "stop reason", record.explanation or None
    yield "owner", None if record.pid is None else f"process {record.pid} on {record.host}"
    yield "run id", record.run_id


def _list_files(run: Run, record: RunStatus) -> _Rows:
    # A killed process may have written a checkpoint after its last status.
    latest = run.paths.latest_model.parent
    last = latest.resolve() if latest.exists() else record.last_checkpoint
    yield "directory", run.paths.root
    yield "size", format_bytes(run.measure_bytes())
    yield "last checkpoint", last
    yield "last save error", record.last_save_error
    yield "log", run.paths.log if run.paths.log.exists() else None
    yield from run.trackers.items()


def _list_meta(meta: dict[str, Any]) -> _Rows:
    yield "command", meta.get("command")
    yield "config", meta.get("config_path")
    yield "seed", meta.get("seed")
    yield "device", meta.get("device")
    commit = meta.get("git_commit")
    yield "git commit", f"{commit} with changes" if commit and meta.get("git_dirty") else commit
    versions = {name: meta.get(f"{name}_version") for name in ("sb3_ext", "sb3", "torch", "gymnasium", "python")}
    yield "versions", ", ".join(f"{name} {version}" for name, version in versions.items() if version) or None


def _round(value: float | None) -> str | None:
    return None if value is None else f"{value:.2f}"


def _format_time(text: str | None) -> str | None:
    return None if text is None else f"{datetime.fromisoformat(text):%Y-%m-%d %H:%M:%S %Z}"
