"""``sb3-ext plot``: several runs in one picture."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from sb3_ext.cli.completed_values import complete_run_groups
from sb3_ext.cli.options import check_output_files

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from sb3_ext.reports.overlay import RunCurves
    from sb3_ext.runs.run import Run


@click.command(short_help="Plot the returns of runs, or all metrics of one run.")
@click.argument("runs", nargs=-1, required=True, metavar="RUN…", shell_complete=complete_run_groups)
@click.option(
    "--output", "-o", type=click.Path(path_type=Path), default=Path("plot.png"), show_default=True,
    metavar="FILE.png|FILE.svg", help="Image file.",
)  # fmt: skip
@click.option("--x", type=click.Choice(["steps", "time"]), default="steps", show_default=True, help="Horizontal axis.")
@click.option(
    "--average", type=click.Choice(["mean", "iqm"]), default="mean", show_default=True,
    help="Of several seeds: mean with Student's t interval, or interquartile mean with bootstrap interval.",
)  # fmt: skip
@click.option("--csv", type=click.Path(path_type=Path), metavar="FILE.csv", help="Also write the data to this file.")
def plot(runs: tuple[str, ...], output: Path, x: str, average: str, csv: Path | None) -> None:
    """
    Plot the returns and evaluations of several runs or of a sweep, or all metrics of one run.

    Runs whose configurations differ only in the seed are one line: their average and, for three or more runs, its
    confidence band.
    """
    if output.suffix not in (".png", ".svg"):
        raise click.UsageError(f"--output {output}: expected a name that ends in .png or .svg")
    check_output_files({"--output": output, "--csv": csv})
    from sb3_ext.errors import Sb3ExtError
    from sb3_ext.reports.curves import plot_curves
    from sb3_ext.reports.evaluations import read_evaluations
    from sb3_ext.reports.overlay import export_runs, plot_runs
    from sb3_ext.runs.run_registry import find_run_group

    found = [run for name in runs for run in find_run_group(name)]
    curves = _read_curves(found)
    try:
        if len(curves) == 1 and x == "steps" and average == "mean":
            [run] = curves
            others = {
                path.stem: read_evaluations(path) for path in sorted(found[0].paths.other_evaluations.glob("*.jsonl"))
            }
            plot_curves(
                run.metrics, run.evaluations, output, title=run.name, of_game=run.of_game, other_evaluations=others
            )
        else:
            plot_runs(
                curves, output, x="time" if x == "time" else "steps", average="iqm" if average == "iqm" else "mean"
            )
        if csv is not None:
            export_runs(curves, csv)
    except ValueError as error:
        raise Sb3ExtError(f"{output}: {error}") from error
    except OSError as error:
        raise Sb3ExtError(
            f"{output if csv is None else f'{output} or {csv}'}: cannot be written: {error.strerror}"
        ) from error
    for path in (output, csv):
        if path is not None:
            click.echo(path)


def _read_curves(runs: Sequence[Run]) -> list[RunCurves]:
    """Those that differ in nothing but the seed are in one group."""
    import yaml

    from sb3_ext.formatting import name_groups, name_paths
    from sb3_ext.reports.automatic_choices import find_automatic_choices
    from sb3_ext.reports.evaluations import read_evaluations
    from sb3_ext.reports.overlay import RunCurves
    from sb3_ext.reports.seed_groups import identify_configuration

    paths = name_paths([run.paths.root for run in runs])
    names = [run.record.title(path) for run, path in zip(runs, paths, strict=True)]
    metrics = [_read_metrics(run) for run in runs]
    configs = [yaml.safe_load(run.paths.resolved_config.read_text()) for run in runs]
    contents = [
        identify_configuration(config, automatic=find_automatic_choices(run))
        for run, config in zip(runs, configs, strict=True)
    ]
    groups: dict[str, list[str]] = {}
    for name, content in zip(names, contents, strict=True):
        groups.setdefault(content, []).append(name)
    group_names = dict(zip(groups, name_groups(list(groups.values())), strict=True))
    return [
        RunCurves(
            name,
            group_names[content],
            metrics[index],
            read_evaluations(runs[index].paths.evaluations),
            configs[index].get("game") is not None,
        )
        for index, (name, content) in enumerate(zip(names, contents, strict=True))
    ]


def _read_metrics(run: Run) -> Mapping[str, Any]:
    from sb3_ext.errors import RunError

    metrics = run.metrics
    if not metrics:
        raise RunError(f"{run.paths.root}: has written no metrics.json yet; it comes with the first checkpoint")
    return metrics
