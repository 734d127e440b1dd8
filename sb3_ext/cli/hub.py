"""``sb3-ext hub``: publish a run on the Hugging Face Hub, and fetch one from it."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import click

from sb3_ext.cli.completed_values import complete_checkpoints, complete_runs
from sb3_ext.cli.console import show_log
from sb3_ext.cli.options import ruled_option

if TYPE_CHECKING:
    from sb3_ext.hub.published_run import Publication


@click.group()
def hub() -> None:
    """Publish runs on the Hugging Face Hub, and fetch them."""


@hub.command(short_help="Publish a run.")
@click.argument("run", metavar="RUN|CHECKPOINT", shell_complete=complete_runs)
@click.argument("name", metavar="USER/NAME")
@click.option(
    "--checkpoint", metavar="best|latest|STEP", shell_complete=complete_checkpoints,
    help="Which one of the run.  [default: best]",
)  # fmt: skip
@click.option(
    "--episodes", type=click.IntRange(min=1), metavar="N",
    help="Episodes of the evaluation for the model card.  [default: as in training]",
)  # fmt: skip
@click.option("--film/--no-film", default=True, show_default=True, help="Film an episode.")
@click.option("--private", is_flag=True, help="Create a private repository.")
@click.option("--message", default="Publish with sb3-ext", show_default=True, metavar="TEXT", help="Of the commit.")
@ruled_option(
    "--output", "-o", type=click.Path(path_type=Path), metavar="DIR",
    excludes=dict.fromkeys(("--private", "--message"), "nothing is uploaded with --output"),
    help="Only write the files to DIR; upload nothing.",
)  # fmt: skip
def push(
    run: str,
    name: str,
    checkpoint: str | None,
    episodes: int | None,
    film: bool,
    private: bool,
    message: str,
    output: Path | None,
) -> None:
    """
    Upload the best agent of RUN to USER/NAME, with a model card: metrics, configuration, curves, a film, and how to
    play it with and without this package.

    The repository is a run directory without what only a resume needs, and without names of machines and paths.
    """
    from sb3_ext.errors import RunError
    from sb3_ext.hub.hub_client import check_login, upload_folder, validate_name
    from sb3_ext.hub.published_run import write_publication
    from sb3_ext.output_file import validate_output_directory

    validate_name(name)
    if output is None:
        check_login(name)
    elif output.exists():
        raise RunError(f"{output}: exists already; give another one with --output, or remove it")
    else:
        validate_output_directory(output)
    with show_log(quiet=True, verbose=False), tempfile.TemporaryDirectory(prefix="sb3_ext_hub_") as temporary:
        folder = output or Path(temporary) / "run"
        written = write_publication(run, name, folder, checkpoint=checkpoint, episodes=episodes, film=film)
        _print_publication(written)
        click.echo(folder if output else upload_folder(folder, name, private=private, message=message))


@hub.command(short_help="Fetch a run.")
@click.argument("name", metavar="USER/NAME")
@click.option(
    "--output", "-o", type=click.Path(path_type=Path), metavar="DIR",
    help="New directory of the run.  [default: runs/NAME]",
)  # fmt: skip
def pull(name: str, output: Path | None) -> None:
    """
    Fetch a run, or an agent of RL Zoo, from USER/NAME, or USER/NAME@REVISION.

    Then `sb3-ext enjoy DIR` plays it. Only files that belong to runs and agents are fetched, no code.
    """
    from sb3_ext.hub.fetched_agent import pull_agent
    from sb3_ext.runs.run_registry import RUNS

    folder = output or RUNS / name.partition("@")[0].rpartition("/")[2]
    click.echo(pull_agent(name, folder))


def _print_publication(written: Publication) -> None:
    for note in written.notes:
        click.echo(note, err=True)
    evaluation = written.evaluation
    click.echo(f"mean return {evaluation.mean_return:.2f} ± {evaluation.std_return:.2f}")
