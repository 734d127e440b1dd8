"""``sb3-ext new``: create a project with an environment, a configuration and tests."""

from __future__ import annotations

import shlex
from importlib.util import find_spec
from pathlib import Path

import click


@click.command(short_help="Create a project: environment, test, configuration, script.")
@click.argument("directory", type=click.Path(path_type=Path))
def new(directory: Path) -> None:
    """
    Create DIRECTORY with an environment and its tests, a configuration, and a script that uses the callbacks.

    The last part of DIRECTORY is the name of the package, such as my_project. It must not exist, or be empty.
    """
    from sb3_ext.scaffold.new_project import create_project

    for file in create_project(directory):
        click.echo(f"  {directory / file}")
    steps = [f"cd {shlex.quote(str(directory))}", "pytest", f"sb3-ext train {directory.absolute().name}.yaml"]
    if find_spec("pytest") is None:
        steps.insert(1, "pip install pytest")
    click.echo("\n  ".join(["\nNow:", *steps]))
