"""A comparison as rows of text, and as a report in Markdown."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict
from typing import Any

from sb3_ext.formatting import format_duration
from sb3_ext.reports.comparability import Difference
from sb3_ext.reports.comparison import WINDOW_EPISODES, Comparison, RunFigures
from sb3_ext.reports.seed_groups import Evidence

Row = tuple[str, tuple[str, ...]]

GROUP_TITLES = ("seeds", "IQM", "95 % interval", "mean", "lowest to highest")
"""Of the columns of :func:`format_groups`."""


def format_rows(comparison: Comparison) -> list[Row]:
    """
    :param comparison: of runs
    :return: a label and a cell for each run; rows of which nothing is known are left out, ``–`` is what is not known
    """
    cells: list[tuple[str, Callable[[RunFigures], str]]] = [
        ("status", lambda run: run.status),
        ("environments", lambda run: run.environments),
        ("duration", lambda run: format_duration(run.duration_seconds)),
        ("  training", lambda run: format_duration(run.training_seconds)),
        ("steps", lambda run: f"{run.steps:,}"),
        (_name_fps(comparison), lambda run: _format(run.fps, ",.0f")),
        ("  p10 – p90", lambda run: _join(_format(run.fps_p10, ",.0f"), _format(run.fps_p90, ",.0f"))),
        ("speed-up", lambda run: _format(run.speed_up, ".2f", "×")),
        ("iteration", lambda run: _format(run.iteration_seconds, ".3g", " s")),
        ("collecting", lambda run: _format(run.collecting_share, ".0%")),
        ("updating", lambda run: _format(run.updating_share, ".0%")),
        ("peak memory", lambda run: _format_megabytes(run.memory_peak_bytes)),
        ("mean memory", lambda run: _format_megabytes(run.memory_mean_bytes)),
        ("cores used", lambda run: _format(run.cores_used, ".2f")),
        ("episodes", lambda run: f"{run.episodes:,}"),
        (f"return at {comparison.common_steps:,} steps", lambda run: _format(run.return_at_steps, ".2f")),
        (
            f"return at {format_duration(comparison.common_seconds)}",
            lambda run: _format(run.return_at_time, ".2f"),
        ),
        ("best evaluation", lambda run: _format(run.best_evaluation, ".2f")),
    ]
    rows = [(label, tuple(cell(run) for run in comparison.figures)) for label, cell in cells]
    return [row for row in rows if set(row[1]) != {"–"}]


def list_notes(comparison: Comparison) -> list[str]:
    """
    :param comparison: of runs
    :return: what the figures are, a line each
    """
    notes = [
        f"Returns are means of the last {WINDOW_EPISODES} training episodes that had ended at that point.",
        "They are compared by the time of training; the duration also has start, self-test and final evaluation.",
    ]
    if comparison.is_fps_overall:
        notes.append("Steps per second are of all the time, since not every run has a benchmark_metrics.json.")
    else:
        notes.append("Steps per second are of the time spent collecting and updating.")
    return notes


def format_groups(evidence: Evidence) -> list[Row]:
    """
    :param evidence: of runs with several seeds
    :return: a row for each group: its name, seeds, IQM, 95 % interval, mean, and the lowest and highest score
    """
    return [
        (
            group.name,
            (
                str(group.seeds),
                f"{group.iqm:.4g}",
                "–" if group.interval is None else f"{group.interval[0]:.4g} to {group.interval[1]:.4g}",
                f"{group.mean:.4g}",
                f"{group.lowest:.4g} to {group.highest:.4g}",
            ),
        )
        for group in evidence.groups
    ]


def list_conclusions(evidence: Evidence) -> list[str]:
    """
    :param evidence: of runs with several seeds
    :return: what can be concluded and what cannot, a paragraph each
    """
    return [
        f"Scores: {evidence.measure}. IQM: interquartile mean, with a 95 % stratified bootstrap interval.",
        *(pair.conclusion for pair in evidence.pairs),
        *evidence.remarks,
    ]


def format_markdown(
    comparison: Comparison, differences: Sequence[Difference], picture: str, evidence: Evidence | None = None
) -> str:
    """
    :param comparison: of runs
    :param differences: that limit what the comparison shows
    :param picture: path of the picture, as seen from the report
    :param evidence: of runs with several seeds; ``None`` if there are none
    :return: the report
    """
    names = [figures.name for figures in comparison.figures]
    lines = [f"# {' / '.join(names)}", "", *_format_table(["", *names], format_rows(comparison)), ""]
    lines += [*list_notes(comparison), "", f"![returns, speed and memory]({picture})"]
    if evidence is not None:
        lines += ["", "## Over seeds", "", *_format_table(["", *GROUP_TITLES], format_groups(evidence)), ""]
        lines += [f"- {paragraph}" for paragraph in list_conclusions(evidence)]
    if differences:
        rows = [
            (difference.key, (*difference.values, difference.meaning))
            for difference in differences
            if _fits(difference, names)
        ]
        others = [difference for difference in differences if not _fits(difference, names)]
        lines += ["", "## Not the same", ""]
        lines += _format_table(["", *names, "so"], rows) if rows else []
        lines += ["", *(f"- {difference}" for difference in others)] if others else []
    return "\n".join(lines) + "\n"


def make_content(
    comparison: Comparison, differences: Sequence[Difference], evidence: Evidence | None = None
) -> dict[str, Any]:
    """
    :param comparison: of runs
    :param differences: that limit what the comparison shows
    :param evidence: of runs with several seeds; ``None`` if there are none
    :return: plain values for JSON
    """
    return {
        "common_steps": comparison.common_steps,
        "common_seconds": comparison.common_seconds,
        "is_fps_overall": comparison.is_fps_overall,
        "runs": [vars(figures) for figures in comparison.figures],
        "differences": [vars(difference) for difference in differences],
        "evidence": None if evidence is None else asdict(evidence),
    }


def _fits(difference: Difference, names: Sequence[str]) -> bool:
    return difference.key != "time" and len(difference.values) == len(names)


def _format_table(header: Sequence[str], rows: Sequence[Row]) -> list[str]:
    lines = [list(header), ["---", *["---:"] * (len(header) - 1)], *([label.strip(), *cells] for label, cells in rows)]
    return [f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in line)} |" for line in lines]


def _name_fps(comparison: Comparison) -> str:
    return "steps/s, overall" if comparison.is_fps_overall else "steps/s"


def _format(value: float | None, specification: str, unit: str = "") -> str:
    return "–" if value is None else f"{value:{specification}}{unit}"


def _join(low: str, high: str) -> str:
    return "–" if "–" in (low, high) else f"{low} – {high}"


def _format_megabytes(size_bytes: float | None) -> str:
    return "–" if size_bytes is None else f"{size_bytes / 1e6:,.0f} MB"
