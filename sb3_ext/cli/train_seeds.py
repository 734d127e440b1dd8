"""``sb3-ext train --seeds``: one configuration with several seeds."""

from __future__ import annotations

import time
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

import click
from click.core import ParameterSource

from sb3_ext.cli.fast_imports import importing_sb3
from sb3_ext.cli.launcher_options import is_distributed, opening_launcher
from sb3_ext.cli.options import name_parameter
from sb3_ext.cli.tables import Column, format_table, measure_width
from sb3_ext.formatting import format_duration

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sb3_ext.config import Override
    from sb3_ext.launching.launcher import Launcher
    from sb3_ext.runs.signals import SignalWatch
    from sb3_ext.sweeps.sweep import Sweep
    from sb3_ext.sweeps.sweep_members import MemberEnd

_POLL_SECONDS = 0.1
_OWN_OPTIONS = frozenset({"seeds", "jobs", "run_dir", "launcher", "launcher_options"})
_LOG_LINES = 5
_EXIT_USAGE, _EXIT_ERROR = 2, 1
_EXIT_BY_SIGNAL = {"SIGTERM": 75, "SIGINT": 130}


def train_seeds(
    source: str | None,
    overrides: Sequence[Override],
    arguments: Sequence[str],
    *,
    seeds: str,
    jobs: int | None,
    directory: Path | None,
    launcher: str | None = None,
    launcher_options: Sequence[str] = (),
) -> int:
    """
    Train a configuration with several seeds, or finish what an earlier command has left.

    :param source: the configuration
    :param overrides: overrides from the command line
    :param arguments: arguments of ``sb3-ext train`` for each run, from :func:`list_member_arguments`
    :param seeds: seeds, as in ``0..9``
    :param jobs: most runs at a time; ``None`` for one on this machine, and for all on others
    :param directory: directory of the sweep; ``None`` for ``runs/<config>_<UTC time>``
    :param launcher: value of ``--launcher``
    :param launcher_options: values of ``--launcher-option``
    :return: the exit status
    :raises ConfigError: if the configuration or the seeds have mistakes
    :raises LaunchError: if the launcher cannot be used
    :raises RunError: if the directory cannot be used
    """
    with importing_sb3():
        from sb3_ext.building.trackers import describe_sweep
        from sb3_ext.config import load_config, read_source
        from sb3_ext.runs.signals import SignalWatch
        from sb3_ext.sweeps.seeds import parse_seeds
        from sb3_ext.sweeps.sweep import Sweep
        from sb3_ext.tracking.group_tracking import tracking_group
        from sb3_ext.training.start import name_run_directory

    chosen = parse_seeds(seeds)
    read = read_source(source)
    config = load_config(read, overrides)
    sweep = Sweep(directory or name_run_directory(config, read.path), chosen)
    try:
        missing = [seed for seed in sweep.seeds if not sweep.is_complete(seed)]
        most = len(missing) if jobs is None and is_distributed(launcher) else jobs or 1
        most = min(most, max(1, len(missing)))
        with (
            opening_launcher(launcher, launcher_options, sweep.directory.absolute(), most) as opened,
            SignalWatch() as signals,
            tracking_group(describe_sweep(sweep.directory), config.tracking, lambda: _describe_end(sweep)),
        ):
            status = _train_members(sweep, missing, opened, arguments, signals)
    finally:
        sweep.close()
    if sweep.directory.exists():
        _print_summary(sweep)
    return status


def list_member_arguments(context: click.Context) -> list[str]:
    """
    List the arguments that all runs of a sweep have in common.

    :param context: context of ``sb3-ext train``
    :return: its arguments, without those that differ between the runs
    """
    arguments: list[str] = []
    for parameter in context.command.params:
        name = str(parameter.name)
        if name in _OWN_OPTIONS or context.get_parameter_source(name) is not ParameterSource.COMMANDLINE:
            continue
        value = context.params[name]
        if not isinstance(parameter, click.Option):
            arguments.append(str(value))
        elif parameter.is_flag:
            arguments.append(name_parameter(parameter))
        else:
            values = value if parameter.multiple else [value]
            arguments += [part for each in values for part in (name_parameter(parameter), str(each))]
    return arguments


def _train_members(
    sweep: Sweep, missing: Sequence[int], launcher: Launcher, arguments: Sequence[str], signals: SignalWatch
) -> int:
    from sb3_ext.sweeps.sweep_members import SweepMembers

    done = len(sweep.seeds) - len(missing)
    text = f"{sweep.directory}: {len(sweep.seeds)} seeds" + (f", {done} of them complete" if done else "")
    click.echo(f"{text}; up to {launcher.jobs} at a time", err=True)

    members = SweepMembers(sweep, missing, launcher, arguments)
    failures: set[int | None] = set()
    is_stopping = False
    try:
        while not members.is_done:
            for member in members.check():
                if member.end.exit_status != 0 and not member.is_resumed:
                    failures.add(member.end.exit_status)
                _print_end(sweep, member, signals.received)
                if member.end.exit_status == _EXIT_USAGE and not sweep.has_runs:
                    return _EXIT_USAGE  # a mistake that all members have
            if signals.received is not None and not is_stopping:
                is_stopping = True
                click.echo(f"{signals.received}: the runs save and end; a second signal ends them at once", err=True)
                members.stop()
            time.sleep(_POLL_SECONDS)
    finally:
        members.kill()
    if signals.received is not None:
        return _EXIT_BY_SIGNAL[signals.received]
    if failures == {_EXIT_USAGE}:
        return _EXIT_USAGE  # such as a full disk
    return _EXIT_ERROR if failures else 0


def _describe_end(sweep: Sweep) -> tuple[str, dict[str, int]]:
    """:return: status and summary for trackers"""
    members = [sweep.find_member(seed) for seed in sweep.seeds]
    counts = Counter("missing" if member is None else member.status for member in members)
    status = "failed" if counts["failed"] else "completed" if set(counts) == {"completed"} else "stopped"
    return status, {f"runs_{name}": count for name, count in counts.items()}


def _print_end(sweep: Sweep, member: MemberEnd, signal_name: str | None) -> None:
    seed, end = member.seed, member.end
    if member.is_resumed:
        click.echo(f"seed {seed}: {end.explanation}; it is resumed", err=True)
        return
    if end.exit_status == 0 or signal_name is not None:
        if (run := sweep.find_member(seed)) is not None:
            record = run.record
            took = f"step {record.step:,}, {format_duration(record.elapsed_seconds)}"
            click.echo(f"seed {seed}: {record.status} ({record.explanation}), {took}", err=True)
        return
    click.echo(f"seed {seed}: {end.explanation}; {sweep.get_log(seed)} ends:", err=True)
    click.echo("\n".join(f"  {line}" for line in end.task.read_output(_LOG_LINES)), err=True)


def _print_summary(sweep: Sweep) -> None:
    rows: list[tuple[str, ...]] = []
    for seed in sweep.seeds:
        member = sweep.find_member(seed)
        if member is None:
            rows.append((str(seed), "missing", "", "", ""))
            continue
        record = member.record
        figures = [record.episode_return_mean, record.best_evaluation]
        cells = ["" if figure is None else f"{figure:.2f}" for figure in figures]
        rows.append((str(seed), member.status, f"{record.step:,}", *cells))
    titles = ("steps", "training return", "best evaluation")
    columns = [Column("seed", align=">"), Column("status"), *(Column(title, align=">") for title in titles)]
    click.echo("\n".join(format_table(columns, rows, measure_width())))
    click.echo(f"sb3-ext plot {sweep.directory}")
