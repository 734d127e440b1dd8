"""``sb3-ext runs resume``: resume a run."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path

import click

from sb3_ext.cli.completed_values import complete_runs
from sb3_ext.cli.console import show_log
from sb3_ext.cli.fast_imports import importing_sb3
from sb3_ext.cli.flags import with_assignments
from sb3_ext.cli.run_arguments import find_named_run, with_root
from sb3_ext.cli.train import carry_out
from sb3_ext.runs.run_registry import RUNS


@click.command(short_help="Resume a run from its latest checkpoint.")
@click.argument("run", shell_complete=complete_runs)
@with_assignments
@with_root
def resume(run: str, assignments: tuple[str, ...], root: Path) -> None:
    """Resume RUN, a run directory or a name below runs/, from its latest checkpoint."""
    with importing_sb3():
        from sb3_ext.training.resuming import AlreadyCompleted, resume_run

    # Without --root, the checkpoint of a run will do as well.
    target = run if root == RUNS else find_named_run(run, root).paths.root
    with show_log(quiet=False, verbose=False):
        try:
            start = resume_run(target, assignments, command=shlex.join(["sb3-ext", *sys.argv[1:]]))
        except AlreadyCompleted as completed:
            click.echo(str(completed))
            return
        status = carry_out(start)
    sys.exit(status)
