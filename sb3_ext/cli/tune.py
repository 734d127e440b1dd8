"""``sb3-ext tune``: search for better values with Optuna."""

from __future__ import annotations

import os
import shlex
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

import click

from sb3_ext.cli.completed_values import complete_configs
from sb3_ext.cli.console import show_log
from sb3_ext.cli.fast_imports import importing_sb3
from sb3_ext.cli.flags import join_overrides, with_assignments
from sb3_ext.cli.launcher_options import is_distributed, opening_launcher, with_launcher
from sb3_ext.cli.tables import measure_width
from sb3_ext.cli.train import EXIT_ERROR, EXIT_INTERRUPTED, EXIT_REQUEUE

if TYPE_CHECKING:
    from sb3_ext.config import Override
    from sb3_ext.launching.launcher import Launcher
    from sb3_ext.tuning.study import TuningStudy

_SHOWN_TRIALS = 5


@click.command(
    short_help="Search for better hyperparameters.",
    epilog="Exit status: 0 done, or --timeout is reached; 1 too many failed trials in a row; 2 a mistake in the "
    "configuration or on the command line; 130 Ctrl+C; 75 SIGTERM. The same command then continues the study.",
)
@click.argument("config", shell_complete=complete_configs)
@click.option("--trials", type=click.IntRange(min=1), metavar="N", help="Number of trials in the study.")
@click.option("--jobs", type=click.IntRange(min=1), metavar="N", help="Worker processes.")
@with_launcher()
@click.option("--timeout", metavar="TIME", help="End after 90s, 10m, 1.5h, or a number of hours.")
@click.option("--storage", metavar="URL", help="journal, or such as postgresql://USER@HOST/NAME.  "
              "[default: SQLite; journal with --launcher slurm or ray]")  # fmt: skip
@click.option("--study", metavar="NAME", help="Name of the study.  [default: the configuration's]")
@click.option(
    "--study-dir", type=click.Path(path_type=Path), metavar="DIR",
    help="Directory of the trials and results.  [default: runs/<study>]",
)  # fmt: skip
@with_assignments
@click.option("--resume", is_flag=True, help="Continue a study; an error if there is none.")
@click.option("--quiet", is_flag=True, help="Print only warnings, errors and the result.")
def tune(
    config: str,
    trials: int | None,
    jobs: int | None,
    launcher: str | None,
    launcher_options: tuple[str, ...],
    timeout: str | None,
    storage: str | None,
    study: str | None,
    study_dir: Path | None,
    assignments: tuple[str, ...],
    resume: bool,
    quiet: bool,
) -> None:
    """
    Search for the best values of CONFIG's keys, as its section `tune` defines. The same command continues the study.

    CONFIG is a YAML file or the name of a shipped configuration.
    """
    from sb3_ext.config import validate_file

    validate_file(config)
    given = {"trials": trials, "jobs": jobs, "timeout": timeout, "storage": storage, "study": study}
    flags = [_make_override(name, value) for name, value in given.items() if value is not None]
    overrides = join_overrides(flags, assignments)

    with importing_sb3():
        import optuna  # after the package, whose error names what to install

        from sb3_ext.tuning.plan import make_plan
        from sb3_ext.tuning.study import open_study

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    os.environ.setdefault("MPLBACKEND", "agg")  # Optuna draws with pyplot, which would look for a screen
    plan = make_plan(config, overrides, directory=study_dir, is_distributed=is_distributed(launcher))
    with (
        show_log(quiet=quiet, verbose=False),
        opening_launcher(launcher, launcher_options, plan.directory.absolute(), plan.settings.jobs) as started,
    ):
        opened = open_study(plan, must_exist=resume)
        sys.exit(_carry_out(opened, started, quiet=quiet))


def _make_override(name: str, value: int | str) -> Override:
    from sb3_ext.config import Override

    return Override(("tune", name), value, f"--{name}")


def _carry_out(study: TuningStudy, launcher: Launcher, *, quiet: bool) -> int:
    """:return: the exit status"""
    from sb3_ext.cli.tune_view import StudyView
    from sb3_ext.errors import TuningError
    from sb3_ext.tuning.study_run import run_study

    try:
        with StudyView(quiet=quiet) as view:
            signal_name = run_study(study, launcher, watch=view.show)
    except TuningError as error:
        click.echo(str(error), err=True)
        _print_result(study)
        return EXIT_ERROR
    _print_result(study)
    if signal_name is not None:
        click.echo("interrupted: the same command continues the study", err=True)
        return EXIT_INTERRUPTED if signal_name == "SIGINT" else EXIT_REQUEUE
    return 0


def _print_result(study: TuningStudy) -> None:
    from sb3_ext.cli.tune_view import format_trials
    from sb3_ext.tuning.results import BEST, TABLE, rank_trials
    from sb3_ext.tuning.study_progress import measure_progress

    directory, progress = study.plan.directory, measure_progress(study, 0, 0.0)
    ranked = rank_trials(study)
    if ranked:
        for line in format_trials(study, ranked[:_SHOWN_TRIALS], measure_width()):
            click.echo(line)
    parts = [(progress.complete, "complete"), (progress.pruned, "pruned"), (progress.failed, "failed")]
    counts = ", ".join(f"{count} {name}" for count, name in parts if count)
    lines = [("trials", f"{progress.ended} of {progress.trials}{f': {counts}' if counts else ''}")]
    if ranked:
        lines += [("best", f"sb3-ext train {shlex.quote(str(directory / BEST))}")]
    lines += [("table", str(directory / TABLE))]
    if (directory / "plots").exists():
        lines += [("plots", str(directory / "plots"))]
    storage = study.plan.storage
    storage = storage.partition(":///")[2] if storage.startswith("journal") else storage
    install = "" if find_spec("optuna_dashboard") else "pip install 'sb3-ext[dashboard]' && "
    lines += [("dashboard", f"{install}optuna-dashboard {shlex.quote(storage)}")]
    for name, text in lines:
        click.echo(f"  {name:<11}{text}")
