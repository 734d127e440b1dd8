"""Options of the commands below ``sb3-ext runs``, and the run that RUN and --root name."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click
from click.core import ParameterSource

from sb3_ext.runs.run import STALE_AFTER_SECONDS, Run, is_run
from sb3_ext.runs.run_registry import RUNS, find_run

_Command = TypeVar("_Command", bound=Callable[..., Any])


def with_root(command: _Command) -> _Command:
    """Add ``--root`` to a command."""
    path = click.Path(path_type=Path)
    return click.option(
        "--root", type=path, default=RUNS, metavar="DIR", show_default=True, help="Directory to look for runs in."
    )(command)


def with_stale_after(command: _Command) -> _Command:
    """Add ``--stale-after`` to a command."""
    return click.option(
        "--stale-after",
        type=click.FloatRange(min=0, min_open=True),
        default=STALE_AFTER_SECONDS,
        metavar="SECONDS",
        show_default=True,
        help="A running run without a heartbeat for this long is stale.",
    )(command)


def find_named_run(text: str, root: Path, *, stale_after_seconds: float = STALE_AFTER_SECONDS) -> Run:
    """
    Find the run that a command names with RUN and ``--root``.

    :param text: a run directory, or the name of a run; only a name if the user gives ``--root``
    :param root: where runs are found by name
    :param stale_after_seconds: see :class:`Run`
    :return: the run
    :raises RunError: if there is no such run
    :raises click.UsageError: if the user gives the path of a run and a root
    """
    if click.get_current_context().get_parameter_source("root") is ParameterSource.COMMANDLINE:
        if not Path(text).is_absolute() and is_run(root / text):
            return Run(root / text, stale_after_seconds=stale_after_seconds)
        if is_run(Path(text)):
            raise click.UsageError(f"--root cannot be given with the path of a run, {text}: leave out --root")
    return find_run(text, root, stale_after_seconds=stale_after_seconds)
