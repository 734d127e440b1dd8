"""``sb3-ext runs``: list, show, watch, stop and remove runs, and read their logs."""

from __future__ import annotations

import json
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any

import click

from sb3_ext.cli.completed_values import complete_runs
from sb3_ext.cli.console import confirm
from sb3_ext.cli.run_arguments import find_named_run, with_root, with_stale_after
from sb3_ext.cli.run_details import format_details
from sb3_ext.cli.run_lines import format_lines, name_below
from sb3_ext.cli.tables import measure_width
from sb3_ext.errors import RunError
from sb3_ext.formatting import format_bytes
from sb3_ext.runs.log_tail import LogTail
from sb3_ext.runs.run import LIVE_STATUSES, Run
from sb3_ext.runs.run_registry import check_removable, find_runs, remove_run
from sb3_ext.runs.status import RunStatus
from sb3_ext.runs.stop_request import stop_run


@click.group()
def runs() -> None:
    """List, show, watch, stop and remove runs."""


@runs.command("list")
@click.option("--all", "show_all", is_flag=True, help="Also runs that have ended.")
@click.option("--json", "as_json", is_flag=True, help="Print all fields as JSON.")
@with_root
@with_stale_after
def list_runs(show_all: bool, as_json: bool, root: Path, stale_after: float) -> None:
    """List running runs, or all, one line each. In a terminal, the runs of a sweep are below its name."""
    found = [(run, _read_record(run)) for run in find_runs(root, stale_after_seconds=stale_after)]
    # A run with a corrupt status may be running.
    chosen = [(run, record) for run, record in found if show_all or _may_be_live(record)]
    if as_json:
        click.echo(json.dumps([_describe(run, record) for run, record in chosen], indent=2))
        return
    counted, shown = ([(name_below(root, run), record) for run, record in runs] for runs in (found, chosen))
    for line in format_lines(shown, measure_width(), counted):
        click.echo(line)
    if not found:
        click.echo(f"no runs found in {root}; `sb3-ext train` starts one; use --root to look in another directory")
    elif not chosen:
        click.echo(f"No run is running in {root}; to list the {len(found)} that ended, add --all.")


@runs.command("show")
@click.argument("run", shell_complete=complete_runs)
@click.option("--json", "as_json", is_flag=True, help="Print all fields as JSON.")
@with_root
@with_stale_after
def show_run(run: str, as_json: bool, root: Path, stale_after: float) -> None:
    """Show status, results and environment of a run."""
    shown = find_named_run(run, root, stale_after_seconds=stale_after)
    meta = shown.meta if shown.paths.meta.exists() else {}
    if as_json:
        details = {"log": str(shown.paths.log), "size_bytes": shown.measure_bytes(), "meta": meta}
        details |= {"trackers": shown.trackers}
        click.echo(json.dumps({**_describe(shown, shown.record), **details}, indent=2))
    else:
        click.echo(format_details(shown, shown.record, meta, measure_width()))


@runs.command("watch")
@click.argument("run", required=False, shell_complete=complete_runs)
@with_root
@with_stale_after
def watch(run: str | None, root: Path, stale_after: float) -> None:
    """
    Show a run, or all running ones, live.

    Ends with Ctrl+C, or with the run. Prints one snapshot if the output is not a terminal.
    """
    from sb3_ext.cli.run_view import watch_run, watch_runs

    with suppress(KeyboardInterrupt):
        if run is None:
            watch_runs(root, lambda: find_runs(root, stale_after_seconds=stale_after))
        else:
            watch_run(find_named_run(run, root, stale_after_seconds=stale_after))


@runs.command("logs")
@click.argument("run", shell_complete=complete_runs)
@click.option("-f", "--follow", is_flag=True, help="Print new lines until the run ends or Ctrl+C.")
@click.option("-n", "--lines", type=click.IntRange(min=0), default=50, show_default=True, help="Number of lines.")
@with_root
def show_log(run: str, follow: bool, lines: int, root: Path) -> None:
    """Print the last lines of a run's log."""
    shown = find_named_run(run, root)
    tail = LogTail(shown.paths.log)
    click.echo(tail.read_last(lines), nl=False)
    if follow:
        with suppress(KeyboardInterrupt):
            for text in tail.follow(lambda: shown.status in LIVE_STATUSES):
                click.echo(text, nl=False)


@runs.command("stop")
@click.argument("run", shell_complete=complete_runs)
@click.option(
    "--timeout",
    type=click.FloatRange(min=0),
    default=30.0,
    metavar="SECONDS",
    show_default=True,
    help="How long to wait until the run has ended.",
)
@with_root
@with_stale_after
def stop(run: str, timeout: float, root: Path, stale_after: float) -> None:
    """
    Stop a run and wait until it has ended.

    Exit status: 0 it has ended, 1 it has not ended within --timeout. Running the command again stops it at once, in
    the middle of an update.
    """
    stopped = find_named_run(run, root, stale_after_seconds=stale_after)
    outcome = stop_run(stopped, timeout)
    if outcome.note is not None:
        click.echo(f"{stopped.name}: {outcome.note}", err=True)
    if not outcome.has_ended:
        click.echo(f"{stopped.name} has been asked to stop, but has not ended within {timeout:g} s: {outcome.status}")
        sys.exit(1)
    reason = stopped.record.stop_reason
    had_ended = "" if outcome.was_asked else "has already ended: "
    click.echo(f"{stopped.name} {had_ended}{outcome.status}" + (f" ({reason})" if reason else ""))


@runs.command("sync", short_help="Send missing values to trackers.")
@click.argument("run", nargs=-1, required=True, shell_complete=complete_runs)
@with_root
def sync(run: tuple[str, ...], root: Path) -> None:
    """
    Send trackers the records that they have missed, and new videos and results of a league.

    Exit status: 0 everything is sent, 1 a tracker cannot be reached or refuses a file, 2 a tracker refuses the run.
    """
    from sb3_ext.training.tracker_sync import sync_trackers

    is_complete = True
    for synced in [find_named_run(text, root) for text in run]:
        for outcome in sync_trackers(synced):
            place = "" if outcome.url is None else f"  {outcome.url}"
            click.echo(f"{synced.name}  {outcome.name}: sent {outcome.sent:,} records{place}")
            if outcome.left:
                is_complete = False
                click.echo(f"{synced.name}  {outcome.name}: {outcome.left:,} records left: {outcome.error}", err=True)
            for file in outcome.refused:
                is_complete = False
                click.echo(f"{synced.name}  {outcome.name}: {file} is refused, see the warning", err=True)
    if not is_complete:
        sys.exit(1)


@runs.command("remove")
@click.argument("run", nargs=-1, required=True, shell_complete=complete_runs)
@click.option("--yes", is_flag=True, help="Do not ask for confirmation.")
@with_root
def remove(run: tuple[str, ...], yes: bool, root: Path) -> None:
    """Delete run directories, after confirmation. A run that is running is refused."""
    chosen = {resolved.paths.root.resolve(): resolved for resolved in (find_named_run(text, root) for text in run)}
    for removed in chosen.values():
        check_removable(removed)
        if not yes:
            click.echo(f"  {removed.paths.root}  {format_bytes(removed.measure_bytes())}")
    if not yes:
        confirm(f"Delete {len(chosen)} run{'s' if len(chosen) > 1 else ''} permanently?")
    for removed in chosen.values():
        remove_run(removed)
        click.echo(f"removed {removed.paths.root}")


def _read_record(run: Run) -> RunStatus | RunError:
    try:
        return run.record
    except RunError as error:
        return error


def _may_be_live(record: RunStatus | RunError) -> bool:
    return isinstance(record, RunError) or record.status in LIVE_STATUSES


def _describe(run: Run, record: RunStatus | RunError) -> dict[str, Any]:
    if isinstance(record, RunStatus):
        fields = {**record.to_json(), "heartbeat_age_seconds": record.heartbeat_age_seconds}
    else:
        fields = {"status": "corrupt", "error": str(record)}
    return {"name": run.name, "path": str(run.paths.root.absolute()), **fields}
