"""``sb3-ext train``."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from sb3_ext.cli.completed_values import complete_configs, complete_runs
from sb3_ext.cli.console import show_log
from sb3_ext.cli.enjoy import check_display, enjoy
from sb3_ext.cli.fast_imports import importing_sb3
from sb3_ext.cli.flags import (
    FLAGS,
    join_overrides,
    parse_flags,
    parse_tracker_flags,
    with_assignments,
    with_flags,
    with_tracker_flags,
)
from sb3_ext.cli.launcher_options import with_launcher
from sb3_ext.cli.options import ruled_option
from sb3_ext.disk_errors import find_disk_error
from sb3_ext.formatting import format_duration
from sb3_ext.ranks.placement import read_placement
from sb3_ext.runs.status import DISK_ERROR, RANK_LOST

if TYPE_CHECKING:
    from sb3_ext.runs.run import Run
    from sb3_ext.runs.status import RunStatus
    from sb3_ext.training.start import RunStart

_EVAL_FLAGS = ("--seed", "--episodes", "--env", "--algo", "--render")
"""What `train --eval-only` passes on to `enjoy`."""

_NOT_OF_SEVERAL_RUNS = {
    "--rewind": "--seeds trains several runs; resume one of them by its own directory",
    "--resume": "the same command again finishes what is missing; resume a single run by its own directory",
    "--render": "a window shows the environments of one run",
}

_OF_SEVERAL_RUNS: dict[str, dict[str, str]] = {
    "needs": {"--seeds": "a single run is one process"},
    "excludes": {"--seed": "give --seeds instead", **_NOT_OF_SEVERAL_RUNS},
}

EXIT_ERROR, EXIT_USAGE, EXIT_REQUEUE, EXIT_INTERRUPTED = 1, 2, 75, 130  # 75: EX_TEMPFAIL of sysexits.h


@click.command(
    short_help="Train an agent, or resume a run.",
    epilog="Exit status: 0 done, or stopped by a stop file; 2 a mistake in the configuration or on the command line, "
    "or a full disk; 130 Ctrl+C; 75 SIGTERM, after saving a checkpoint; 1 any other end.",
)
@click.argument("config_argument", metavar="[CONFIG]", required=False, shell_complete=complete_configs)
@ruled_option(
    "-c", "--config", metavar="CONFIG", shell_complete=complete_configs,
    excludes={"CONFIG": "they are the same; leave out one"},
    help="The same as the argument.",
)  # fmt: skip
@ruled_option(
    "--zoo", metavar="ALGO/ENV",
    excludes=dict.fromkeys(("CONFIG", "--config"), "each is a whole configuration; leave out one of them"),
    help="The tuned hyperparameters of the installed RL Zoo, such as ppo/CartPole-v1; the same as CONFIG zoo:ALGO/ENV.",
)  # fmt: skip
@with_flags(FLAGS)
@ruled_option(
    "--force-cpu", is_flag=True, excludes={"--device": "leave out one of them"}, help="The same as --device cpu."
)
@with_assignments
@with_tracker_flags
@click.option(
    "--run-dir", "--output", "-o", "--output-dir", type=click.Path(path_type=Path), metavar="DIR",
    help="Run directory; must be new or empty.  [default: runs/<config>_<UTC time>]",
)  # fmt: skip
@click.option(
    "--resume", "-r", is_flag=False, flag_value="", metavar="[RUN|CHECKPOINT]", shell_complete=complete_runs,
    help="Resume a run. With another --run-dir, or from an older checkpoint: start a new run. Without a value: resume "
    "--run-dir if it exists, else start it.",
)  # fmt: skip
@ruled_option(
    "--rewind", is_flag=True, needs={"--resume": "give --resume CHECKPOINT, to which the run goes back"},
    excludes={"--run-dir": "leave out --run-dir to go back in place, or --rewind to continue in a new run"},
    help="With --resume CHECKPOINT: rewind the run to it instead of starting a new run.",
)  # fmt: skip
@ruled_option(
    "--seeds", metavar="LIST", excludes={"--seed": "leave out one of them", **_NOT_OF_SEVERAL_RUNS},
    help="Train with each seed of a list such as 0..9 or 1,2,5, in runs of their own below --run-dir. The same command "
    "again finishes what is missing.",
)  # fmt: skip
@ruled_option(
    "--jobs", type=click.IntRange(min=1), metavar="N", **_OF_SEVERAL_RUNS,
    help="With --seeds: train N runs at a time, each on its share of the cores.  [default: 1; all with slurm or ray]",
)  # fmt: skip
@with_launcher(**_OF_SEVERAL_RUNS)
@click.option("--checkpoint-dir", type=click.Path(path_type=Path), metavar="DIR", help="Save checkpoints in DIR/<run>.")
@ruled_option(
    "--eval-only", is_flag=True, needs={"--checkpoint": "name the agent with --checkpoint RUN|CHECKPOINT"},
    only_with=("--checkpoint", *_EVAL_FLAGS), expose_value=False,
    help="Do not train; evaluate --checkpoint, as `sb3-ext enjoy` does.",
)  # fmt: skip
@ruled_option(
    "--checkpoint", metavar="RUN|CHECKPOINT", shell_complete=complete_runs,
    needs={"--eval-only": "to train on from a checkpoint, use --resume or --init-from instead"},
    help="With --eval-only: the agent.",
)  # fmt: skip
@click.option("--mock-env", is_flag=True, help="Replace the environment by noise in its spaces, to check a set-up.")
@ruled_option(
    "--render", is_flag=True, excludes={"--mock-env": "a mock environment has no window; leave out one of them"},
    help="Show the environments in a window.",
)  # fmt: skip
@ruled_option(
    "--quiet", is_flag=True, excludes={"--verbose": "leave out one of them"},
    help="Print only warnings, errors and the summary.",
)  # fmt: skip
@click.option("--verbose", is_flag=True, help="Print all log messages.")
def train(
    config_argument: str | None,
    config: str | None,
    zoo: str | None,
    force_cpu: bool,
    assignments: tuple[str, ...],
    run_dir: Path | None,
    resume: str | None,
    rewind: bool,
    seeds: str | None,
    jobs: int | None,
    launcher: str | None,
    launcher_options: tuple[str, ...],
    checkpoint_dir: Path | None,
    checkpoint: str | None,
    mock_env: bool,
    render: bool,
    quiet: bool,
    verbose: bool,
    **flags: Any,
) -> None:
    """
    Train the agent of CONFIG in a new run directory, or resume a run.

    CONFIG is a YAML file, the name of a shipped configuration, or zoo:ALGO/ENV for the hyperparameters of RL Zoo.
    Instead of it, --algo and --env are enough.
    """
    if checkpoint is not None:  # and --eval-only with it
        _judge(checkpoint, flags, render=render)
        return
    source = config_argument or config or (None if zoo is None else f"zoo:{zoo}")
    if resume is None and not (source or flags["agent_id"] or flags["env_id"] or assignments):
        from sb3_ext.config import find_shipped_configs

        shipped = ", ".join(find_shipped_configs())
        raise click.UsageError(f"what to train? Give CONFIG (a YAML file, or one of {shipped}), or --algo and --env")
    if render:
        check_display()
    placement = read_placement()
    is_silent = placement is not None and placement.rank > 0
    click.get_current_context().with_resource(show_log(quiet=quiet or is_silent, verbose=verbose and not is_silent))

    from sb3_ext.config import Override, validate_file

    validate_file(source)
    cpu = [Override(("agent", "device"), "cpu", "--force-cpu")] if force_cpu else []
    overrides = join_overrides([*parse_flags(flags), *parse_tracker_flags(flags), *cpu], assignments)
    with importing_sb3():
        from sb3_ext.training.resuming import AlreadyCompleted, resume_run
        from sb3_ext.training.start import start_run

    if seeds is not None:
        if placement is not None:
            raise click.UsageError("--seeds trains several runs, each in one process; start it without torchrun")
        from sb3_ext.cli.train_seeds import list_member_arguments, train_seeds

        arguments = list_member_arguments(click.get_current_context())
        status = train_seeds(
            source,
            overrides,
            arguments,
            seeds=seeds,
            jobs=jobs,
            directory=run_dir,
            launcher=launcher,
            launcher_options=launcher_options,
        )
        sys.exit(status)
    command = shlex.join(["sb3-ext", *sys.argv[1:]])

    def begin() -> RunStart:
        if placement is not None and placement.max_restarts and run_dir is None and not resume:
            raise click.UsageError("torchrun --max-restarts needs --run-dir, so that a restart resumes the same run")
        # Not only if this process is restarted: torchrun does not count restarts that begin on another machine.
        may_restart = placement is not None and placement.max_restarts > 0
        target = _choose_resume_target("" if resume is None and may_restart else resume, run_dir)
        if target is None:
            return start_run(source, run_dir, overrides, checkpoint_dir=checkpoint_dir, mock=mock_env, command=command)
        return resume_run(
            target,
            overrides,
            config=source,
            run_dir=run_dir,
            checkpoint_dir=checkpoint_dir,
            rewind=rewind,
            mock=mock_env,
            command=command,
        )

    if placement is not None:
        from sb3_ext.cli.train_ranks import train_ranks

        sys.exit(train_ranks(placement, begin, source, overrides, rendered=render))
    try:
        start = begin()
    except AlreadyCompleted as completed:
        click.echo(str(completed))
        return
    sys.exit(carry_out(start, rendered=render))


def carry_out(start: RunStart, *, rendered: bool = False) -> int:
    """
    Train, and print the result.

    :param start: a run directory that is claimed
    :param rendered: show the environments in a window
    :return: the exit status
    """
    from sb3_ext.errors import Sb3ExtError
    from sb3_ext.training.loop import train_run

    with start.session.signals.ignoring_afterwards():
        try:
            train_run(start, rendered=rendered)
        except (Exception, KeyboardInterrupt) as error:
            if start.session.is_undone:
                raise  # nothing was trained: the message is all there is
            if not isinstance(error, (Sb3ExtError, KeyboardInterrupt)) and find_disk_error(error) is None:
                reason = (start.session.status.status.stop_reason or "").removeprefix("error: ")
                click.echo(f"failed: {reason or error}", err=True)
                click.echo(f"traceback: {_shorten(start.session.paths.log)}", err=True)
                return EXIT_ERROR
        # Not the status on the disk, which may be full.
        record = start.session.status.status
        if record.stop_reason == DISK_ERROR:
            click.echo(_describe_disk_error(start.run, record), err=True)
        else:
            _print_summary(start.run, record)
        return choose_exit_status(record)


def _judge(checkpoint: str, flags: Mapping[str, str | None], *, render: bool) -> None:
    arguments = [checkpoint]
    for flag in FLAGS:
        value, name = flags[flag.argument_name], flag.names[0]
        if value is not None and name in _EVAL_FLAGS:
            arguments += [name, value]
    if render:
        arguments.append("--render")
    parent = click.get_current_context()
    with enjoy.make_context("enjoy", arguments, parent=parent) as context:
        enjoy.invoke(context)


def _choose_resume_target(resume: str | None, run_dir: Path | None) -> str | None:
    """:return: what to resume; ``None`` to start a new run"""
    if resume is None:
        return None
    if resume:
        return resume
    if run_dir is None:
        raise click.UsageError("--resume without a value needs --run-dir; or name a run: --resume RUN")
    from sb3_ext.runs.run import is_half_created, is_run

    return str(run_dir) if is_run(run_dir) and not is_half_created(run_dir) else None


def choose_exit_status(record: RunStatus) -> int:
    """
    :param record: status of a run that has ended
    :return: the exit status of its command
    """
    if record.stop_reason in ("signal SIGTERM", RANK_LOST):
        return EXIT_REQUEUE
    if record.stop_reason == "signal SIGINT":
        return EXIT_INTERRUPTED
    if record.stop_reason == DISK_ERROR:
        return EXIT_USAGE
    return EXIT_ERROR if record.status == "failed" else 0


def _describe_disk_error(run: Run, record: RunStatus) -> str:
    text = f"{_shorten(run.paths.root)}: failed at step {record.step:,}: {record.explanation}"
    if record.last_checkpoint is None:
        return text
    command = f"sb3-ext train --resume {shlex.quote(_shorten(run.paths.root))}"
    return f"{text}; once that is mended, `{command}` continues from {record.last_checkpoint}"


def _print_summary(run: Run, record: RunStatus) -> None:
    evaluation, paths = run.metrics.get("last_evaluation"), run.paths
    if evaluation and evaluation["step"] != record.step:
        evaluation = None  # of an earlier agent
    lines = [("", f"{record.status} ({record.explanation})")]
    took = f"{format_duration(record.elapsed_seconds)}, start and evaluations included"
    if record.mock:
        lines.append(("environment", "mock: observations and rewards are noise, so nothing was learned"))
    lines.append(("trained", f"{record.step:,} steps, {record.episode:,} episodes in {took}"))
    if record.episode_return_mean is not None:
        lines.append(("training return", f"{record.episode_return_mean:.2f}, mean of the last episodes"))
    if evaluation:
        spread = f"{evaluation['mean_return']:.2f} ± {evaluation['std_return']:.2f}"
        truncated = evaluation.get("truncated_episodes")
        note = f", {truncated} of them truncated" if truncated else ""
        lines.append(("final return", f"{spread}, mean of {evaluation['episodes']} episodes of the final agent{note}"))
    best = record.best_evaluation
    has_better = best is not None and not (evaluation and evaluation["mean_return"] >= best)
    if has_better:
        lines.append(("best return", f"{best:.2f}, of an earlier agent, which `sb3-ext enjoy` plays"))
    files = {
        "run directory": paths.root,
        "model": paths.latest_model,
        **({"best model": paths.best_model} if has_better else {}),
        "metrics": paths.metrics,
        "log": paths.log,
    }
    lines += [
        *((name, _shorten(path)) for name, path in files.items() if path.exists()),
    ]
    if paths.tensorboard.exists():
        lines.append(("TensorBoard", f"tensorboard --logdir {shlex.quote(_shorten(paths.tensorboard))}"))
    if record.status == "stopped":
        lines.append(("continue", f"sb3-ext train --resume {shlex.quote(_shorten(paths.root))}"))
    for name, text in lines:
        click.echo(f"  {name:<17}{text}" if name else text)


def _shorten(path: Path) -> str:
    """As the user would type it here."""
    return str(path.relative_to(Path.cwd())) if path.is_relative_to(Path.cwd()) else str(path)
