"""``sb3-ext config``: look at configurations without training."""

from __future__ import annotations

import json

import click

from sb3_ext.cli.completed_values import complete_configs


@click.group()
def config() -> None:
    """Check and show configurations."""


@config.command(short_help="Validate a configuration.")
@click.argument("file", shell_complete=complete_configs)
@click.option("--env", "checks_env", is_flag=True, help="Also run SB3's check_env on the environment.")
def check(file: str, checks_env: bool) -> None:
    """
    Validate FILE, a YAML file or the name of a shipped configuration.

    The environment is made once, to compare its spaces with what the algorithm can take.
    """
    from sb3_ext.config import load_config, read_source, validate_file

    validate_file(file)
    from sb3_ext.building.fit import validate_setup
    from sb3_ext.errors import MissingExtraError

    source = read_source(file)
    loaded = load_config(source)
    verdict = "valid"
    try:
        validate_setup(loaded, source)
    except MissingExtraError as error:  # the file may be for another machine
        verdict = f"valid, but its environment cannot be made here: {error}"
    if checks_env:
        from sb3_ext.building.training_environments import validate_environment

        validate_environment(loaded)
    click.echo(f"{file}: {verdict}")


@config.command(short_help="Print a configuration with all defaults.")
@click.argument("file", shell_complete=complete_configs)
def show(file: str) -> None:
    """Print FILE with all defaults, also those of the algorithm."""
    from sb3_ext.config import dump_config, load_config, validate_file

    validate_file(file)
    from sb3_ext.building.model import fill_defaults

    click.echo(dump_config(fill_defaults(load_config(file))), nl=False)


@config.command(short_help="Print the JSON Schema, for editors.")
def schema() -> None:
    """Print the JSON Schema, with which editors complete and validate a configuration."""
    from sb3_ext.config.json_schema import make_json_schema

    click.echo(json.dumps(make_json_schema(), indent=2))


@config.command(short_help="List the types for train.callbacks.")
def callbacks() -> None:
    """List all types for train.callbacks, with parameters and defaults."""
    from sb3_ext.cli.callback_list import format_callbacks
    from sb3_ext.cli.tables import measure_width

    for line in format_callbacks(measure_width()):
        click.echo(line)
