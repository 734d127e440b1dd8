"""``sb3-ext report``: a run as one HTML file."""

from __future__ import annotations

from pathlib import Path

import click

from sb3_ext.cli.completed_values import complete_run_groups
from sb3_ext.cli.options import check_output_files


@click.command(short_help="Write a report of a run: one HTML file with curves, evaluations, set-up.")
@click.argument("run", shell_complete=complete_run_groups)
@click.option(
    "--output", "-o", type=click.Path(path_type=Path), default=Path("report.html"), show_default=True,
    metavar="FILE.html", help="The file.",
)  # fmt: skip
@click.option(
    "--film", "films", multiple=True, type=click.Path(path_type=Path), metavar="FILE.mp4|FILE.gif",
    help="Also embed this film, as from `enjoy --video`. Repeatable. Films in the run directory are embedded.",
)  # fmt: skip
@click.option("--force", is_flag=True, help="Replace an existing file.")
def report(run: str, output: Path, films: tuple[Path, ...], force: bool) -> None:
    """
    Write what RUN trained, how it went and how to reproduce it into one HTML file.

    The file needs no network and no other file, and has no secrets, host names and home directories: attach it to an
    issue or a paper. A run that is running is reported as it is now. Of a sweep, all seeds are in one report.
    """
    if output.suffix not in (".html", ".htm"):
        raise click.UsageError(f"--output {output}: expected a name that ends in .html")
    check_output_files({"--output": output}, force=force)
    from sb3_ext.reports.run_report.report_page import write_report
    from sb3_ext.runs.run_registry import find_run_group

    write_report(Path(run).absolute().name, find_run_group(run), output, films, replace=force)
    click.echo(output)
