"""``sb3-ext compare``: runs side by side."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from sb3_ext.cli.options import check_distinct_files

if TYPE_CHECKING:
    from sb3_ext.reports.comparability import Difference
    from sb3_ext.reports.comparison import Comparison

_RUN_WIDTH = len("10,000 – 20,000  ")


@click.command(short_help="Compare runs: speed, memory, returns.")
@click.argument("runs", nargs=-1, required=True, metavar="RUN RUN…")
@click.option(
    "--output", "-o", type=click.Path(path_type=Path), default=Path("comparison.png"), show_default=True,
    metavar="FILE.png|FILE.svg", help="The picture. The report goes beside it, as FILE.md.",
)  # fmt: skip
@click.option("--json", "json_path", type=click.Path(path_type=Path), metavar="FILE", help="Write the figures there.")
def compare(runs: tuple[str, ...], output: Path, json_path: Path | None) -> None:
    """
    Compare RUNs with the first one: duration, speed, memory, and returns after as many steps and as much time.

    Prints a table, draws a picture, and writes both into a report. Says in what the runs differ that makes the
    comparison unfair.
    """
    if len(runs) < 2:
        raise click.UsageError("give two runs or more")
    if output.suffix not in (".png", ".svg"):
        raise click.UsageError(f"--output {output}: expected a name that ends in .png or .svg")
    check_distinct_files({"--output": output, "its report": output.with_suffix(".md"), "--json": json_path})
    from sb3_ext.atomic import write_json, write_text
    from sb3_ext.errors import Sb3ExtError
    from sb3_ext.reports.comparability import find_differences
    from sb3_ext.reports.comparison import ComparedRun, compare_runs
    from sb3_ext.reports.comparison_figure import plot_comparison
    from sb3_ext.reports.comparison_table import format_markdown, make_content
    from sb3_ext.reports.metrics import replace_non_finite
    from sb3_ext.runs.registry import resolve_run

    compared = [ComparedRun.read(resolve_run(run, Path("runs"))) for run in runs]
    comparison = compare_runs(compared)
    differences = find_differences(compared)
    _print_tables(comparison)
    _print_differences(differences)
    report = output.with_suffix(".md")
    try:
        plot_comparison(compared, comparison, output)
        write_text(report, format_markdown(comparison, differences, output.name), durable=False)
        if json_path is not None:
            write_json(json_path, replace_non_finite(make_content(comparison, differences)), durable=False)
    except OSError as error:
        raise Sb3ExtError(f"{error.filename or output}: cannot be written: {error.strerror}") from error
    for path in (output, report, json_path):
        if path is not None:
            click.echo(path)


def _print_tables(comparison: Comparison) -> None:
    """As many runs beside each other as the terminal has room for, the first one always."""
    from rich.console import Console
    from rich.table import Table

    from sb3_ext.reports.comparison_table import format_rows, list_notes

    console = Console(highlight=False)
    rows = format_rows(comparison)
    others = list(range(1, len(comparison.figures)))
    label_width = max(len(label) for label, _ in rows) + 2
    room = max(1, (console.width - label_width) // _RUN_WIDTH - 1)
    for start in range(0, len(others), room):
        shown = [0, *others[start : start + room]]
        table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
        table.add_column("", no_wrap=True)
        for index in shown:
            table.add_column(comparison.figures[index].name, justify="right", overflow="fold")
        for label, cells in rows:
            table.add_row(label, *(cells[index] for index in shown))
        console.print(table)
        console.print()
    for note in list_notes(comparison):
        console.print(note, style="dim")


def _print_differences(differences: list[Difference]) -> None:
    meaning = None
    for difference in differences:
        if difference.meaning != meaning:
            meaning = difference.meaning
            click.secho(f"\nNot the same, so {meaning}:", fg="yellow", err=True)
        click.echo(f"  {difference.key}: {' / '.join(difference.values)}", err=True)
    if differences:
        click.echo(err=True)
