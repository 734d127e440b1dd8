"""``sb3-ext config``: look at configurations without training."""

from __future__ import annotations

import inspect
import json

import click


@click.group()
def config() -> None:
    """Check and show configurations."""


@config.command(short_help="Look for mistakes.")
@click.argument("file")
@click.option("--env", "checks_env", is_flag=True, help="Also make the environment and run SB3's check_env on it.")
def check(file: str, checks_env: bool) -> None:
    """Validate FILE, a YAML file or the name of a shipped configuration."""
    from sb3_ext.config import load_config

    loaded = load_config(file)
    if checks_env:
        from sb3_ext.building.environments import check_environment

        check_environment(loaded)
    click.echo(f"{file}: valid")


@config.command(short_help="A configuration with every default filled in.")
@click.argument("file")
def show(file: str) -> None:
    """Print FILE with every default filled in, those of the algorithm too."""
    from sb3_ext.building.model import fill_defaults
    from sb3_ext.config import dump_config, load_config

    click.echo(dump_config(fill_defaults(load_config(file))), nl=False)


@config.command(short_help="The JSON Schema, for editors.")
def schema() -> None:
    """Print the JSON Schema, with which editors complete and check the file."""
    from sb3_ext.config import RunConfig

    click.echo(json.dumps(RunConfig.model_json_schema(), indent=2))


@config.command(short_help="What train.callbacks knows by name.")
def callbacks() -> None:
    """List what train.callbacks knows by name, with parameters and their defaults."""
    from sb3_ext.arguments import read_parameters
    from sb3_ext.config.callback_types import CALLBACK_TYPES, load_callback_class
    from sb3_ext.config.schema import CHECKPOINT_TYPE, CheckpointConfig

    click.echo(f"{CHECKPOINT_TYPE}: Keeps the best, the latest and periodic checkpoints; always on.")
    for name, field in CheckpointConfig.model_fields.items():
        click.echo(f"  {name}: {field.description}, default {field.default!r}")
    for name in sorted(CALLBACK_TYPES):
        found = load_callback_class(name)
        click.echo(f"{name}: {(inspect.getdoc(found) or '').partition(chr(10))[0]}")
        for parameter in read_parameters(found).values():
            default = "required" if parameter.default is parameter.empty else f"default {parameter.default!r}"
            click.echo(f"  {parameter.name}: {inspect.formatannotation(parameter.annotation)}, {default}")
    click.echo("Any other subclass of SB3's BaseCallback is 'module:Name'.")
