"""The argument and options that choose an agent: a run and its checkpoint, or a zip, its environment and algorithm."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import click

from sb3_ext.cli.completed_values import (
    complete_algorithms,
    complete_checkpoints,
    complete_environments,
    complete_runs,
)

_Command = TypeVar("_Command", bound=Callable[..., Any])

_PARAMETERS = (
    click.argument("target", metavar="RUN|CHECKPOINT|ZIP", shell_complete=complete_runs),
    click.option(
        "--checkpoint", metavar="best|latest|STEP", shell_complete=complete_checkpoints,
        help="Which one of a run.  [default: best]",
    ),
    click.option(
        "--env", "env_id", metavar="ID", shell_complete=complete_environments,
        help="Environment of a zip that belongs to no run.",
    ),
    click.option(
        "--algo", metavar="ID", shell_complete=complete_algorithms, help="Algorithm of a zip that belongs to no run."
    ),
)  # fmt: skip


def agent_options(command: _Command) -> _Command:
    """Decorate a command with ``target``, ``--checkpoint``, ``--env`` and ``--algo``."""
    for decorate in reversed(_PARAMETERS):
        command = decorate(command)
    return command
