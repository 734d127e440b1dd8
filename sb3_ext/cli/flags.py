"""Flags for the configuration values that are changed most often."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

import click

from sb3_ext.cli.completed_values import (
    Complete,
    complete_algorithms,
    complete_assignments,
    complete_devices,
    complete_environments,
    complete_runs,
    complete_threads,
)

if TYPE_CHECKING:
    from sb3_ext.config import Override

Command = TypeVar("Command", bound=Callable[..., Any])


class Flag(NamedTuple):
    """
    :param names: as on the command line
    :param key: the configuration's key
    :param metavar: how the value is called in the help
    :param help: for the help
    :param changes_cost: whether it changes what a step of training costs, which `advise` measures
    :param complete: lists the values that a shell completes
    """

    names: tuple[str, ...]
    key: str
    metavar: str
    help: str
    changes_cost: bool = False
    complete: Complete | None = None

    @property
    def argument_name(self) -> str:
        """Of the keyword argument that a command receives."""
        return self.key.replace(".", "_")


_CHECKPOINT = "train.callbacks.checkpoint.params"

FLAGS = (
    Flag(("--algo",), "agent.id", "ID", "Algorithm, such as ppo or dqn.", True, complete_algorithms),
    Flag(("--env",), "env.id", "ID", "Gymnasium environment.", True, complete_environments),
    Flag(("--total-steps", "--total-timesteps"), "train.total_steps", "N", "End after N steps of all environments."),
    Flag(("--episodes", "--num-episodes", "-e"), "train.total_episodes", "N", "End after N episodes."),
    Flag(("--duration",), "train.duration", "TIME", "End after 90s, 10m, 1.5h, or a number of hours."),
    Flag(("--max-steps",), "env.max_steps", "N", "Truncate episodes after N steps.", True),
    Flag(("--num-envs",), "parallel.num_envs", "N", "Number of environments.", True),
    Flag(("--num-workers",), "parallel.num_workers", "N", "Step environments in N worker processes, or actors of Ray."),
    Flag(("--num-envs-per-worker",), "parallel.num_envs_per_worker", "N", "Environments in each worker process."),
    Flag(("--batch-size",), "agent.params.batch_size", "N", "Minibatch size.", True),
    Flag(("--learning-rate",), "agent.params.learning_rate", "RATE", "Number or schedule, such as 'linear(3e-4)'."),
    Flag(("--gamma",), "agent.params.gamma", "NUMBER", "Discount factor."),
    Flag(
        ("--init-from",),
        "agent.init_from",
        "RUN|CHECKPOINT|ZIP",
        "Start with the weights of this model.",
        complete=complete_runs,
    ),
    Flag(("--checkpoint-freq",), f"{_CHECKPOINT}.interval", "N|Nep", "Save a checkpoint every N steps or episodes."),
    Flag(
        ("--autosave-interval",), f"{_CHECKPOINT}.every_minutes", "MINUTES", "Also save a checkpoint at this interval."
    ),
    Flag(("--seed",), "seed", "N", "Seed of all random number generators.", True),
    Flag(("--device",), "agent.device", "DEVICE", "auto, cpu, cuda or cuda:1.", True, complete_devices),
    Flag(("--threads",), "agent.threads", "N", "Number of torch threads, or auto.", True, complete_threads),
)


_WORKER_KEYS = (("parallel", "num_workers"), ("parallel", "num_envs_per_worker"))
"""They ask for ``parallel.mode: workers``, unless the configuration's mode takes them, too."""

TRACKER_FLAGS = {
    "mlflow": (("--mlflow",), "Log to MLflow: the server of MLFLOW_TRACKING_URI, or mlflow.db beside the runs."),
    "trackio": (("--trackio",), "Log to Trackio, on this machine."),
    "wandb": (("--wandb", "--use-wandb"), "Log to Weights & Biases."),
}
"""Trackers that a flag switches on: the names of the flag, and its help."""


def with_tracker_flags(command: Command) -> Command:
    """Add the flags of trackers to a command, which receives them as keyword arguments by the trackers' names."""
    for tracker, (names, text) in reversed(TRACKER_FLAGS.items()):
        command = click.option(*names, tracker, is_flag=True, help=text)(command)
    return command


def parse_tracker_flags(given: Mapping[str, Any]) -> list[Override]:
    """
    :param given: what a command with :func:`with_tracker_flags` received
    :return: the trackers that are switched on, with the arguments that the configuration has, or none
    """
    from sb3_ext.config import Override

    return [
        Override(("tracking", tracker), {}, names[0], keeps=lambda arguments: arguments is not None)
        for tracker, (names, _) in TRACKER_FLAGS.items()
        if given.get(tracker)
    ]


def with_flags(flags: Iterable[Flag]) -> Callable[[Command], Command]:
    """:return: a decorator that adds flags to a command, which receives them as keyword arguments"""

    def decorate(command: Command) -> Command:
        for flag in reversed(list(flags)):
            command = click.option(
                *flag.names,
                flag.argument_name,
                metavar=flag.metavar,
                help=flag.help,
                shell_complete=flag.complete,
            )(command)
        return command

    return decorate


def with_assignments(command: Command) -> Command:
    """Add ``--set`` to a command, which receives it as ``assignments``."""
    return click.option(
        "--set",
        "assignments",
        metavar="KEY=VALUE",
        multiple=True,
        shell_complete=complete_assignments,
        help="Set any key, such as agent.params.gamma=0.98. Repeatable.",
    )(command)


def parse_flags(given: Mapping[str, str | None]) -> list[Override]:
    """
    :param given: what a command with :func:`with_flags` received
    :return: the values that were given, as overrides; they are YAML, like those of ``--set``
    :raises ConfigError: if a value is not YAML
    """
    from sb3_ext.config import Override, parse_override, takes_setting

    overrides = []
    for flag in FLAGS:
        text = given.get(flag.argument_name)
        if text is None:
            continue
        section, _, name = flag.key.partition(".")
        if (section, name) in _WORKER_KEYS:
            keeps = partial(takes_setting, name=name)
            overrides.append(Override((section, "mode"), "workers", flag.names[0], keeps=keeps))
        overrides += [parse_override(f"{key}={value}", flag.names[0]) for key, value in _translate(flag.key, text)]
    return overrides


def join_overrides(flags: Iterable[Override], assignments: Iterable[str]) -> list[Override]:
    """
    :param flags: from flags of their own
    :param assignments: texts of ``--set``, of which the last one counts where several give a key
    :return: all of them
    :raises ConfigError: if a text is not ``KEY=VALUE``
    :raises click.UsageError: if a flag and ``--set`` give different values for a key, or one of them a part of the
        other's value
    """
    from sb3_ext.config import parse_override

    joined = list(flags)
    for assignment in map(parse_override, assignments):
        for flag in joined:
            if flag.place != assignment.place and _contradict(flag, assignment):
                key = ".".join(map(str, assignment.key))
                raise click.UsageError(f"{flag.place} and --set {key}=… set the same key: leave out one of them")
        joined.append(assignment)
    return joined


def _contradict(flag: Override, assignment: Override) -> bool:
    if flag.keeps is not None and (flag.key != assignment.key or flag.keeps(assignment.value)):
        return False
    size = min(len(flag.key), len(assignment.key))
    is_same = (flag.key, flag.value) == (assignment.key, assignment.value)
    return flag.key[:size] == assignment.key[:size] and not is_same


def _translate(key: str, value: str) -> list[tuple[str, str]]:
    """``50ep`` counts episodes, and no steps."""
    if key == f"{_CHECKPOINT}.interval" and value.endswith("ep"):
        return [(key, "null"), (f"{_CHECKPOINT}.every_episodes", value.removesuffix("ep"))]
    return [(key, value)]
