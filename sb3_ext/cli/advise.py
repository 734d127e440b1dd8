"""``sb3-ext advise``: sequential or parallel, and how many."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from sb3_ext.cli.completed_values import complete_configs
from sb3_ext.cli.fast_imports import importing_sb3
from sb3_ext.cli.flags import FLAGS, join_overrides, parse_flags, with_assignments, with_flags
from sb3_ext.cli.tables import Column, format_table, measure_width, wrap

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sb3_ext.advising.advice import Advice
    from sb3_ext.config.parallel_schema import ParallelConfig


@click.command(short_help="Measure which parallel mode is fastest.")
@click.argument("config", metavar="[CONFIG]", required=False, shell_complete=complete_configs)
@with_flags(flag for flag in FLAGS if flag.changes_cost)
@with_assignments
@click.option(
    "--seconds", type=click.FloatRange(min=0, min_open=True), default=2.0, show_default=True, metavar="S",
    help="Duration of the measurement of each mode.",
)  # fmt: skip
def advise(config: str | None, assignments: tuple[str, ...], seconds: float, **flags: Any) -> None:
    """
    Measure CONFIG's environment and agent on this machine, and print where its environments are stepped fastest.

    CONFIG is a YAML file or the name of a shipped configuration. Instead of it, --algo and --env are enough. Run
    nothing else on the machine meanwhile.
    """
    from sb3_ext.config import find_shipped_configs, load_config, read_source

    overrides = join_overrides(parse_flags(flags), assignments)
    if config is None and not overrides:
        shipped = ", ".join(find_shipped_configs())
        raise click.UsageError(f"give CONFIG (a YAML file, or one of {shipped}), or --algo and --env")
    loaded = load_config(read_source(config), overrides)

    with importing_sb3():
        from sb3_ext.advising.advice import explain_advice, measure_advice
        from sb3_ext.building.memory import validate_memory

    validate_memory(loaded)

    def show(name: str) -> None:
        click.echo(f"trying {name} …", err=True)

    advice = measure_advice(loaded, seconds, show)
    width = measure_width()
    _print_table(advice, width)
    for paragraph in explain_advice(advice):
        click.echo("\n".join(wrap(paragraph, width)))
    _print_section(advice.best.parallel)


def _print_table(advice: Advice, width: int | None) -> None:
    for paragraph in _describe_costs(advice):
        click.echo("\n".join(wrap(paragraph, width)))
    click.echo("\n".join(["", *_format_trials(advice, width), ""]))


def _print_section(chosen: ParallelConfig) -> None:
    """Print the section to paste."""
    import yaml

    section = {"mode": chosen.mode, "num_envs": chosen.num_envs, **chosen.model_dump(exclude_defaults=True)}
    click.echo("\n" + yaml.safe_dump({"parallel": section}, sort_keys=False, allow_unicode=True), nl=False)


def _describe_costs(advice: Advice) -> Iterator[str]:
    step, actions, update = (
        f"{1e3 * seconds:.3g} ms"
        for seconds in (advice.env_step_seconds, advice.agent.action_seconds, advice.agent.update_seconds)
    )
    yield (
        f"On {advice.cores} cores, with {advice.agent.threads} torch threads: a step of one environment takes {step}. "
        f"Per step of all environments, choosing actions takes {actions} and updates take {update}."
    )
    if advice.agent.collecting_seconds is None:
        yield "No rollout was finished, so the time of updates is estimated; increase --seconds to measure it."


def _format_trials(advice: Advice, width: int | None) -> list[str]:
    columns = [
        Column("workers x envs"),
        Column("stepping", priority=1, align=">"),
        Column("training", align=">"),
        Column("speed-up", align=">"),
        Column("start", priority=2, align=">"),
        Column(),
    ]
    rows = []
    first = advice.predict_fps(advice.sequential)
    for trial in advice.trials:
        stepping, fps = trial.parallel.num_envs / trial.step_seconds, advice.predict_fps(trial)
        cells = (f"{stepping:,.0f}/s", f"{fps:,.0f}/s", f"{fps / first:.2f}×", f"{trial.start_seconds:.1f} s")
        rows.append((trial.backend.name, *cells, "best" if trial is advice.best else ""))
    return format_table(columns, rows, width)
