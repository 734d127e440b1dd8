"""The page of a report: one HTML file with its style, its script and its data."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import datetime, timezone
from importlib.resources import files
from pathlib import Path

from jinja2 import Environment, StrictUndefined
from markupsafe import Markup

from sb3_ext.errors import RunError
from sb3_ext.output_file import validate_output, write_output
from sb3_ext.reports.run_report.report_content import ReportContent, read_report_content
from sb3_ext.reports.run_report.sweep_content import read_sweep_content
from sb3_ext.runs.run import Run
from sb3_ext.version import __version__

_LEAST_SHARE = 0.0005


def write_report(
    name: str, runs: Sequence[Run], path: Path, films: Sequence[Path] = (), *, replace: bool = False
) -> None:
    """
    :param name: of the run or the sweep
    :param runs: the run, which may be running, or those of a sweep
    :param path: the file
    :param films: further films, beside those in the run directory
    :param replace: replace an existing file
    :raises RunError: if a file of the run is corrupt, a film cannot be embedded, or the file exists already or cannot
        be written
    """
    validate_output(path, force=replace)
    if len(runs) > 1 and films:
        raise RunError(f"--film: {name} is a sweep; films are for the report of one run")
    content = read_report_content(runs[0], films) if len(runs) == 1 else read_sweep_content(name, runs)
    page = render_page(content)
    write_output(path, page.encode())


def render_page(content: ReportContent, *, now: datetime | None = None) -> str:
    """
    :param content: what the report says; all texts are escaped
    :param now: time of the report; ``None`` for the present
    :return: a page that loads nothing else
    """
    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    template = environment.from_string(_read("page.html.jinja"))
    data = json.dumps({"charts": content.charts, "marks": content.marks}, allow_nan=False, separators=(",", ":"))
    return template.render(
        content=content,
        shares=[(name, share) for name, share in content.shares if share >= _LEAST_SHARE],
        # In a script, only "<" may begin something else: the end of the script, or a comment.
        data=Markup(data.replace("<", "\\u003c")),
        style=Markup(_read("page.css").strip()),
        script=Markup(_read("charts.js").strip()),
        time=f"{now or datetime.now(timezone.utc):%Y-%m-%d %H:%M UTC}",
        version=__version__,
    )


def _read(name: str) -> str:
    return (files("sb3_ext.reports.run_report") / name).read_text(encoding="utf-8")
