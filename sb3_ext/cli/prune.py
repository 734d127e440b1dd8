"""``sb3-ext runs prune``: free the disk of old checkpoints."""

from __future__ import annotations

from pathlib import Path

import click

from sb3_ext.cli.completed_values import complete_runs
from sb3_ext.cli.console import confirm
from sb3_ext.cli.run_arguments import find_named_run, with_root
from sb3_ext.formatting import format_bytes


@click.command(short_help="Remove old checkpoints of runs that have ended.")
@click.argument("runs", nargs=-1, required=True, shell_complete=complete_runs)
@click.option(
    "--keep-last", type=click.IntRange(min=2), default=2, show_default=True, help="Latest checkpoints to keep."
)
@click.option("--keep-best", type=click.IntRange(min=1), default=1, show_default=True, help="Best checkpoints to keep.")
@click.option("--yes", is_flag=True, help="Do not ask for confirmation.")
@with_root
def prune(runs: tuple[str, ...], keep_last: int, keep_best: int, yes: bool, root: Path) -> None:
    """
    Remove old checkpoints of RUNS that have ended, damaged ones, and those that --rewind made invalid; the best and the
    last two always stay.
    """
    from sb3_ext.checkpoints.store.checkpoint_store import CheckpointStore
    from sb3_ext.checkpoints.store.retention import Retention
    from sb3_ext.output_file import validate_output_directory
    from sb3_ext.runs.run_registry import check_ended

    found = [find_named_run(run, root) for run in runs]
    for run in found:
        check_ended(run, "its checkpoints cannot be removed")
    for run in found:
        store = CheckpointStore(run.paths.checkpoints)
        retention = Retention(keep_last, keep_best)
        doomed, aside = store.list_prunable(retention), store.list_set_aside()
        if not doomed and not aside:
            click.echo(f"{run.name}: nothing to remove")
            continue
        validate_output_directory(store.directory)
        if not yes:
            confirm(f"{run.name}: remove {_count(len(doomed), len(store.list_bundles()), len(aside))}?")
        before = run.measure_bytes()
        store.prune(retention)
        store.remove_set_aside()
        freed = format_bytes(before - run.measure_bytes())
        click.echo(f"{run.name}: removed {len(doomed) + len(aside)}, {freed} freed")


def _count(doomed: int, total: int, aside: int) -> str:
    return f"{doomed} of {total} checkpoints" + (f" and {aside} set aside" if aside else "")
