"""
The command line: one thin file per command.

These modules import nothing heavy at import time, so that ``--help`` answers at once.
"""

from __future__ import annotations

import gc
import sys
from typing import Any

import click

from sb3_ext.cli.advise import advise
from sb3_ext.cli.compare import compare
from sb3_ext.cli.completion import completion
from sb3_ext.cli.config import config
from sb3_ext.cli.doctor import doctor
from sb3_ext.cli.enjoy import enjoy
from sb3_ext.cli.export import export
from sb3_ext.cli.hub import hub
from sb3_ext.cli.league import league
from sb3_ext.cli.new import new
from sb3_ext.cli.plot import plot
from sb3_ext.cli.prune import prune
from sb3_ext.cli.report import report
from sb3_ext.cli.resume import resume
from sb3_ext.cli.runs import runs
from sb3_ext.cli.train import EXIT_INTERRUPTED, train
from sb3_ext.cli.tune import tune
from sb3_ext.disk_errors import describe_disk_error, find_disk_error
from sb3_ext.errors import Sb3ExtError
from sb3_ext.runs.signals import Interrupted, ignore_signals, raising_on_sigterm
from sb3_ext.version import __version__

EXIT_TERMINATED = 143  # 128 + SIGTERM, as shells say it
_GARBAGE_THRESHOLDS = 20_000, 10, 10  # with Python's own, imports take a fifth longer, in search of garbage


class _Group(click.Group):
    """Prints mistakes, missing permissions and full disks as one message, with exit status 2 and no traceback."""

    def invoke(self, ctx: click.Context) -> Any:
        try:
            with raising_on_sigterm():
                return super().invoke(ctx)
        except Sb3ExtError as error:
            click.echo(str(error), err=True)
            ctx.exit(2)
        except OSError as error:
            if isinstance(error, PermissionError) and error.filename is not None:
                message = f"{error.filename}: {error.strerror}"
            elif (disk_error := find_disk_error(error)) is not None:
                message = describe_disk_error(disk_error)
            else:
                raise
            click.echo(message, err=True)
            ctx.exit(2)
        except Interrupted as error:
            ctx.exit(EXIT_TERMINATED if error.signal_name == "SIGTERM" else EXIT_INTERRUPTED)
        except KeyboardInterrupt:
            ctx.exit(EXIT_INTERRUPTED)


@click.group(
    cls=_Group,
    context_settings={
        "help_option_names": ["-h", "--help"],
        "max_content_width": 120,
        # --run_dir is --run-dir
        "token_normalize_func": lambda token: token.replace("_", "-"),
    },
)
@click.version_option(__version__, prog_name="sb3-ext")
def cli() -> None:
    """Train Stable-Baselines3 agents in runs that you can list, watch, stop and resume."""


_COMMANDS = (
    *(train, tune, enjoy, league, plot, compare, report, advise, runs, config),
    *(hub, export, completion, new, doctor),
)
for command in _COMMANDS:
    cli.add_command(command)
for command in (resume, prune):
    runs.add_command(command)


def main() -> None:
    """Entry point of ``sb3-ext`` and ``python -m sb3_ext``."""
    # A configuration may name classes in the current directory, as with `python script.py` there.
    if "" not in sys.path:
        sys.path.insert(0, "")
    gc.set_threshold(*_GARBAGE_THRESHOLDS)
    try:
        cli(prog_name="sb3-ext")
    finally:
        ignore_signals()  # the exit status stands: a signal while Python ends is not to alter it
        gc.freeze()  # Python would look for cycles in all of torch once more before it ends, which takes a second
