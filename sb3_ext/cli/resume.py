"""``sb3-ext runs resume`` and ``prune``: what concerns a run's checkpoints."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path

import click

from sb3_ext.cli.console import confirm, show_log
from sb3_ext.cli.run_lines import format_bytes
from sb3_ext.cli.train import carry_out


@click.command(short_help="Carry a run on from its latest checkpoint.")
@click.argument("run")
@click.option("--set", "assignments", metavar="KEY=VALUE", multiple=True, help="A new bound, say. Repeatable.")
def resume(run: str, assignments: tuple[str, ...]) -> None:
    """Carry RUN on, a run directory or a name below runs/, from its latest checkpoint."""
    from sb3_ext.training.resume import AlreadyCompleted, resume_run

    with show_log(is_quiet=False, is_verbose=False):
        try:
            start = resume_run(run, assignments, command=shlex.join(["sb3-ext", *sys.argv[1:]]))
        except AlreadyCompleted as completed:
            click.echo(str(completed))
            return
        status = carry_out(start)
    sys.exit(status)


@click.command(short_help="Remove old checkpoints of runs that have ended.")
@click.argument("runs", nargs=-1, required=True)
@click.option("--keep-last", type=click.IntRange(min=1), default=2, show_default=True, help="Of the newest.")
@click.option("--keep-best", type=click.IntRange(min=1), default=1, show_default=True, help="Of the best.")
@click.option("--yes", is_flag=True, help="Do not ask.")
def prune(runs: tuple[str, ...], keep_last: int, keep_best: int, yes: bool) -> None:
    """Remove old checkpoints of RUNS that have ended; the best and the last two always stay."""
    from sb3_ext.checkpoints.retention import Retention
    from sb3_ext.checkpoints.store import CheckpointStore
    from sb3_ext.runs.registry import check_removable, resolve_run

    found = [resolve_run(run, Path("runs")) for run in runs]
    for run in found:
        check_removable(run)
    for run in found:
        store = CheckpointStore(run.paths.checkpoints)
        retention = Retention(keep_last, keep_best)
        doomed = store.find_prunable(retention)
        if not doomed:
            click.echo(f"{run.name}: nothing to remove")
            continue
        if not yes:
            confirm(f"{run.name}: remove {len(doomed)} of {len(store.list_bundles())} checkpoints?")
        before = run.measure_bytes()
        store.prune(retention)
        click.echo(f"{run.name}: removed {len(doomed)}, {format_bytes(before - run.measure_bytes())} freed")
