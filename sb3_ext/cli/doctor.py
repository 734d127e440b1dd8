"""``sb3-ext doctor``: check an installation and a machine."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING

import click

from sb3_ext.cli.options import ruled_option
from sb3_ext.cli.tables import measure_width, wrap

if TYPE_CHECKING:
    from sb3_ext.doctor.examination import Result

_INDENT = " " * 10


@click.command(
    short_help="Check the installation and the machine.",
    epilog="Exit status: 0 nothing has failed; 1 a check has failed; 130 Ctrl+C.",
)
@click.option("--quick", is_flag=True, help="Also train, kill, resume, evaluate, play and tune: about a minute.")
@ruled_option(
    "--full", is_flag=True, excludes={"--quick": "--full has all checks of --quick; leave out --quick"},
    help="Also train more algorithms, in worker processes and with each engine: about 5 minutes.",
)  # fmt: skip
@click.option("--json", "as_json", is_flag=True, help="Print the report as JSON.")
def doctor(quick: bool, full: bool, as_json: bool) -> None:
    """
    Check versions, extras, devices, memory, directories, locks, clocks and limits, and say what to do.

    The report has no secrets and no names of users or machines: paste it into a bug report. Trainings run in temporary
    directories, which are removed.
    """
    from sb3_ext.doctor.check_list import FULL, INSPECTIONS, QUICK
    from sb3_ext.doctor.examination import has_passed, run_checks
    from sb3_ext.version import __version__

    checks = [*INSPECTIONS, *(FULL if full else QUICK if quick else ())]
    if not as_json:
        click.echo(f"sb3-ext {__version__} doctor{' --full' if full else ' --quick' if quick else ''}")
    results = run_checks(checks, (lambda _result: None) if as_json else _print_result)
    passed = has_passed(results)
    if as_json:
        report = {"sb3_ext": __version__, "passed": passed, "checks": [result.to_json() for result in results]}
        click.echo(json.dumps(report, indent=2))
    else:
        failed = [result.name for result in results if result.finding.verdict == "FAILED"]
        click.echo("\nALL PASSED" if passed else f"\nFAILED: {', '.join(failed)}")
    sys.exit(0 if passed else 1)


def _print_result(result: Result) -> None:
    finding, width = result.finding, measure_width()
    click.echo(f"{finding.verdict:<8}  {result.name} ({result.seconds:.1f} s)")
    lines = [finding.detail, *finding.notes, *([f"to do: {finding.advice}"] if finding.advice else [])]
    for line in lines:
        for part in wrap(line, None if width is None else max(40, width - len(_INDENT))):
            click.echo(f"{_INDENT}{part}")
