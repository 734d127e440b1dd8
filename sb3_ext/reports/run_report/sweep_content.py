"""What a report says about a sweep: runs of one configuration with several seeds."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from sb3_ext.reports.comparison import ComparedRun, compare_runs
from sb3_ext.reports.comparison_table import GROUP_TITLES, format_groups, list_conclusions
from sb3_ext.reports.run_report.chart_data import make_sweep_charts
from sb3_ext.reports.run_report.private_text import make_public
from sb3_ext.reports.run_report.report_content import ReportContent, Table, format_number, read_report_content
from sb3_ext.reports.seed_groups import Evidence, find_evidence
from sb3_ext.runs.run import LIVE_STATUSES, Run

_OF_ONE_RUN = {"seed", "command", "tracked by", "branched from"}


def read_sweep_content(name: str, runs: Sequence[Run]) -> ReportContent:
    """
    :param name: of the sweep
    :param runs: its runs, at least two
    :return: what its report says; the set-up is that of the first run
    :raises RunError: if a run has no metrics yet, or a file is corrupt
    """
    first = read_report_content(runs[0], with_films=False)
    compared = [ComparedRun.read(run) for run in runs]
    seeds = [run.config.get("seed") for run in compared]
    statuses = [run.record.status for run in compared]
    evidence = find_evidence(compared, compare_runs(compared).common_steps)
    live = next((status for status in statuses if status in LIVE_STATUSES), None)
    rest = next((status for status in statuses if status != "completed"), "completed")
    return replace(
        first,
        name=name,
        status=live or rest,
        is_live=live is not None,
        subtitle=f"{first.subtitle}, {len(runs)} seeds",
        notes=[],
        tiles=_make_tiles(statuses, evidence),
        charts=make_sweep_charts(
            {run.name: run.metrics for run in compared}, {run.name: run.evaluations for run in compared}
        ),
        marks=[],
        evaluations={},
        stages=None,
        ratings=None,
        league=None,
        films=[],
        shares=[],
        speed=[],
        checkpoints=None,
        course_title="Runs",
        course=_make_runs(compared),
        setup=[(label, value) for label, value in first.setup if label not in _OF_ONE_RUN],
        commands=first.commands.replace(
            f"--run-dir runs/again\nsb3-ext compare runs/{runs[0].name} runs/again",
            f"--seeds {','.join(map(str, seeds))} --run-dir runs/again\nsb3-ext compare runs/{name} runs/again",
        ),
        over_seeds=_make_groups(evidence, name),
        conclusions=[] if evidence is None else list_conclusions(evidence),
    )


def _make_tiles(statuses: Sequence[str], evidence: Evidence | None) -> list[tuple[str, str, str]]:
    tiles = [("runs", str(len(statuses)), f"{statuses.count('completed')} completed")]
    if evidence is not None and len(evidence.groups) == 1:
        [group] = evidence.groups
        low, high = group.interval or (None, None)
        interval = "" if low is None or high is None else f"{format_number(low)} to {format_number(high)}"
        tiles.append(("interquartile mean", format_number(group.iqm), interval))
        tiles.append(("mean", format_number(group.mean), ""))
        tiles.append(("lowest", format_number(group.lowest), ""))
        tiles.append(("highest", format_number(group.highest), ""))
    return tiles


def _make_groups(evidence: Evidence | None, name: str) -> Table | None:
    if evidence is None:
        return None
    rows = [(found if len(evidence.groups) > 1 else name, *cells) for found, cells in format_groups(evidence)]
    return Table(("", *GROUP_TITLES), rows)


def _make_runs(compared: Sequence[ComparedRun]) -> Table:
    rows = []
    for run in compared:
        returns = [line["mean_return"] for line in run.evaluations if line.get("mean_return") is not None]
        rows.append(
            (
                run.name,
                str(run.config.get("seed")),
                run.record.status,
                f"{run.step:,}",
                format_number(max(returns) if returns else None),
                format_number(returns[-1] if returns else None),
                make_public(run.record.explanation),
            )
        )
    head = ("run", "seed", "status", "steps", "best evaluation", "last evaluation", "why it ended")
    return Table(head, rows)
