"""``sb3-ext train --seeds``: one configuration with several seeds."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING

import click
from click.core import ParameterSource

from sb3_ext.cli.options import name_parameter
from sb3_ext.cli.tables import Column, format_table, measure_width
from sb3_ext.formatting import format_duration

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sb3_ext.config import Override
    from sb3_ext.runs.signals import SignalWatch
    from sb3_ext.sweeps.member_processes import MemberEnd
    from sb3_ext.sweeps.sweep import Sweep

_POLL_SECONDS = 0.1
_OWN_OPTIONS = frozenset({"seeds", "jobs", "run_dir"})
_EXIT_USAGE, _EXIT_ERROR = 2, 1
_EXIT_BY_SIGNAL = {"SIGTERM": 75, "SIGINT": 130}


def train_seeds(
    source: str | None,
    overrides: Sequence[Override],
    arguments: Sequence[str],
    *,
    seeds: str,
    jobs: int,
    directory: Path | None,
) -> int:
    """
    Train a configuration with several seeds, or finish what an earlier command has left.

    :param source: the configuration
    :param overrides: overrides from the command line
    :param arguments: arguments of ``sb3-ext train`` for each run, from :func:`list_member_arguments`
    :param seeds: seeds, as in ``0..9``
    :param jobs: number of runs at a time
    :param directory: directory of the sweep; ``None`` for ``runs/<config>_<UTC time>``
    :return: the exit status
    :raises ConfigError: if the configuration or the seeds have mistakes
    :raises RunError: if the directory cannot be used
    """
    from sb3_ext.config import load_config, read_source
    from sb3_ext.runs.signals import SignalWatch
    from sb3_ext.sweeps.seeds import parse_seeds
    from sb3_ext.sweeps.sweep import Sweep
    from sb3_ext.training.start import name_run_directory

    chosen = parse_seeds(seeds)
    read = read_source(source)
    config = load_config(read, overrides)
    sweep = Sweep(directory or name_run_directory(config, read.path), chosen)
    try:
        with SignalWatch() as signals:
            status = _train_members(sweep, jobs, arguments, signals)
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


def _train_members(sweep: Sweep, jobs: int, arguments: Sequence[str], signals: SignalWatch) -> int:
    from sb3_ext.sweeps.member_processes import MemberProcesses

    missing = [seed for seed in sweep.seeds if not sweep.is_complete(seed)]
    done = len(sweep.seeds) - len(missing)
    text = f"{sweep.directory}: {len(sweep.seeds)} seeds" + (f", {done} of them complete" if done else "")
    click.echo(f"{text}; up to {jobs} at a time", err=True)

    def make_command(seed: int) -> list[str]:
        own = ["--seed", str(seed), "--run-dir", str(sweep.get_directory(seed)), "--resume"]
        return ["-m", "sb3_ext.cli.sweep_member", "train", *arguments, *own]

    processes = MemberProcesses(sweep, missing, min(jobs, max(1, len(missing))), make_command)
    has_failed, is_stopping = False, False
    try:
        while not processes.is_done:
            for end in processes.check():
                has_failed |= end.exit_status != 0
                _print_end(sweep, end, signals.received)
                if end.exit_status == _EXIT_USAGE and not sweep.has_runs:
                    return _EXIT_USAGE  # a mistake that all members have
            if signals.received is not None and not is_stopping:
                is_stopping = True
                click.echo(f"{signals.received}: the runs save and end; a second signal ends them at once", err=True)
                processes.stop()
            time.sleep(_POLL_SECONDS)
    finally:
        processes.kill()
    if signals.received is not None:
        return _EXIT_BY_SIGNAL[signals.received]
    return _EXIT_ERROR if has_failed else 0


def _print_end(sweep: Sweep, end: MemberEnd, signal_name: str | None) -> None:
    if end.exit_status == 0 or signal_name is not None:
        if (member := sweep.find_member(end.seed)) is not None:
            record = member.record
            took = f"step {record.step:,}, {format_duration(record.elapsed_seconds)}"
            click.echo(f"seed {end.seed}: {record.status} ({record.explanation}), {took}", err=True)
        return
    killed = f"killed by signal {-end.exit_status}" if end.exit_status < 0 else f"exit status {end.exit_status}"
    click.echo(f"seed {end.seed}: {killed}; {sweep.logs / f'seed_{end.seed}.log'} ends:", err=True)
    click.echo("\n".join(f"  {line}" for line in end.output.splitlines()[-5:]), err=True)


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
