"""``sb3-ext compare``: runs side by side."""

from __future__ import annotations

import sys
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import click

from sb3_ext.cli.completed_values import complete_run_groups
from sb3_ext.cli.options import check_output_files
from sb3_ext.cli.tables import Column, dim, format_blocks, format_table, measure_width, wrap
from sb3_ext.formatting import name_paths, shorten_names

if TYPE_CHECKING:
    from sb3_ext.reports.comparability import Difference
    from sb3_ext.reports.comparison import Comparison
    from sb3_ext.reports.seed_groups import Evidence

_NAME_WIDTH = len("10,000 – 20,000")  # of the widest figures


@click.command(short_help="Compare runs: speed, memory, returns.")
@click.argument("runs", nargs=-1, required=True, metavar="RUN RUN…", shell_complete=complete_run_groups)
@click.option(
    "--output", "-o", type=click.Path(path_type=Path), default=Path("comparison.png"), show_default=True,
    metavar="FILE.png|FILE.svg", help="Image file; the report is written beside it, as FILE.md.",
)  # fmt: skip
@click.option("--json", "json_path", type=click.Path(path_type=Path), metavar="FILE", help="Write the results to FILE.")
def compare(runs: tuple[str, ...], output: Path, json_path: Path | None) -> None:
    """
    Compare RUNs, or the runs of sweeps, with the first one: duration, speed, memory, and returns after equal steps
    and equal time.

    Prints a table, draws a picture, and writes both into a report. Lists differences between the runs that make
    the comparison unfair. Runs whose configurations differ only in the seed are a group, with interquartile mean,
    bootstrap interval, probability of improvement and performance profile, and what can be concluded from them.
    """
    if output.suffix not in (".png", ".svg"):
        raise click.UsageError(f"--output {output}: expected a name that ends in .png or .svg")
    check_output_files({"--output": output, "its report": output.with_suffix(".md"), "--json": json_path})
    from sb3_ext.atomic import write_json, write_text
    from sb3_ext.errors import Sb3ExtError
    from sb3_ext.reports.comparability import find_differences
    from sb3_ext.reports.comparison import ComparedRun, compare_runs
    from sb3_ext.reports.comparison_figure import plot_comparison
    from sb3_ext.reports.comparison_table import format_markdown, make_content
    from sb3_ext.reports.metrics_file import replace_non_finite
    from sb3_ext.reports.seed_groups import find_evidence
    from sb3_ext.runs.run_registry import find_run_group

    found = [run for name in runs for run in find_run_group(name)]
    if len(found) < 2:
        raise click.UsageError("give two runs or more, or a sweep of several seeds")
    names = name_paths([run.paths.root for run in found])
    compared = [ComparedRun.read(run, name=name) for run, name in zip(found, names, strict=True)]
    comparison = compare_runs(compared)
    evidence = find_evidence(compared, comparison.common_steps)
    differences = find_differences(compared, over_seeds=evidence is not None)
    _print_tables(comparison, measure_width())
    if evidence is not None:
        _print_evidence(evidence, measure_width())
    for run, name in zip(found, names, strict=True):
        for tracker, place in run.trackers.items():
            click.echo(f"{name}  {tracker}: {place}")
    _print_differences(differences)
    report = output.with_suffix(".md")
    try:
        plot_comparison(compared, comparison, output, evidence)
        write_text(report, format_markdown(comparison, differences, output.name, evidence), durable=False)
        if json_path is not None:
            write_json(json_path, replace_non_finite(make_content(comparison, differences, evidence)), durable=False)
    except OSError as error:
        raise Sb3ExtError(f"{error.filename or output}: cannot be written: {error.strerror}") from error
    for path in (output, report, json_path):
        if path is not None:
            click.echo(path)


def _print_tables(comparison: Comparison, width: int | None) -> None:
    """As many runs beside each other as the terminal has room for, the first one always."""
    from sb3_ext.reports.comparison_table import format_rows, list_notes

    rows = [(label, *cells) for label, cells in format_rows(comparison)]
    names = [figures.name for figures in comparison.figures]
    if width is not None:
        room = (width - max(len(row[0]) for row in rows)) // len(names) - 2
        names = shorten_names(names, max(room, _NAME_WIDTH))
    columns = [Column(), *(Column(name, align=">") for name in names)]
    for block in format_blocks(columns, rows, width, fixed=2):
        click.echo("\n".join([*block, ""]))
    for note in list_notes(comparison):
        click.echo("\n".join(wrap(note, width, style=dim)))


def _print_evidence(evidence: Evidence, width: int | None) -> None:
    from sb3_ext.reports.comparison_table import GROUP_TITLES, format_groups, list_conclusions

    columns = [Column("over seeds"), *(Column(title, align=">") for title in GROUP_TITLES)]
    rows = [(name, *cells) for name, cells in format_groups(evidence)]
    click.echo("\n".join(["", *format_table(columns, rows, width), ""]))
    for paragraph in list_conclusions(evidence):
        click.echo("\n".join(wrap(paragraph, width)))


def _print_differences(differences: list[Difference]) -> None:
    width = measure_width(sys.stderr)
    meaning = None
    for difference in differences:
        if difference.meaning != meaning:
            meaning = difference.meaning
            heading = wrap(f"Not the same, so {meaning}:", width, style=partial(click.style, fg="yellow"))
            click.echo("\n".join(["", *heading]), err=True)
        for line in wrap(f"{difference.key}: {' / '.join(difference.values)}", width, indent=2):
            click.echo(line, err=True)
    if differences:
        click.echo(err=True)
