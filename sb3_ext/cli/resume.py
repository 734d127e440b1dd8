"""``sb3-ext runs resume``: carry a run on."""

from __future__ import annotations

import shlex
import sys

import click

from sb3_ext.cli.console import show_log
from sb3_ext.cli.flags import with_assignments
from sb3_ext.cli.train import carry_out


@click.command(short_help="Carry a run on from its latest checkpoint.")
@click.argument("run")
@with_assignments
def resume(run: str, assignments: tuple[str, ...]) -> None:
    """Carry RUN on, a run directory or a name below runs/, from its latest checkpoint."""
    from sb3_ext.training.resuming import AlreadyCompleted, resume_run

    with show_log(is_quiet=False, is_verbose=False):
        try:
            start = resume_run(run, assignments, command=shlex.join(["sb3-ext", *sys.argv[1:]]))
        except AlreadyCompleted as completed:
            click.echo(str(completed))
            return
        status = carry_out(start)
    sys.exit(status)
