"""Flags for the configuration values that are changed most often."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

import click

if TYPE_CHECKING:
    from sb3_ext.config import Override

Command = TypeVar("Command", bound=Callable[..., Any])


class Flag(NamedTuple):
    """
    :param names: as on the command line
    :param key: the configuration's key
    :param metavar: how the value is called in the help
    :param help: for the help
    """

    names: tuple[str, ...]
    key: str
    metavar: str
    help: str


_CHECKPOINT = "train.callbacks.checkpoint.params"

FLAGS = (
    Flag(("--algo",), "agent.id", "ID", "Algorithm, such as ppo or dqn."),
    Flag(("--env",), "env.id", "ID", "Gymnasium environment."),
    Flag(("--total-steps", "--total-timesteps"), "train.total_steps", "N", "End after N environment transitions."),
    Flag(("--episodes", "--num-episodes", "-e"), "train.total_episodes", "N", "End after N episodes."),
    Flag(("--duration",), "train.duration", "TIME", "End after 90s, 10m, 1.5h, or a number of hours."),
    Flag(("--max-steps",), "env.max_steps", "N", "Truncate episodes after N steps."),
    Flag(("--num-envs",), "parallel.num_envs", "N", "Number of environments."),
    Flag(("--num-workers",), "parallel.num_workers", "N", "Step them in N processes."),
    Flag(("--num-envs-per-worker",), "parallel.num_envs_per_worker", "N", "Environments in each process."),
    Flag(("--batch-size",), "agent.params.batch_size", "N", "Minibatch size."),
    Flag(("--learning-rate",), "agent.params.learning_rate", "RATE", "Number or schedule, such as 'linear(3e-4)'."),
    Flag(("--gamma",), "agent.params.gamma", "NUMBER", "Discount factor."),
    Flag(("--init-from",), "agent.init_from", "CHECKPOINT", "Begin with the weights of a checkpoint."),
    Flag(("--checkpoint-freq",), f"{_CHECKPOINT}.interval", "N|Nep", "A checkpoint every N steps, or episodes."),
    Flag(("--autosave-interval",), f"{_CHECKPOINT}.every_minutes", "MINUTES", "A checkpoint every so many minutes."),
    Flag(("--seed",), "seed", "N", "Fixes all random state."),
    Flag(("--device",), "agent.device", "DEVICE", "auto, cpu, cuda or cuda:1."),
    Flag(("--threads",), "agent.threads", "N", "torch's threads, or auto."),
)


def with_flags(command: Command) -> Command:
    """Add every flag to a command, which receives them as keyword arguments."""
    for flag in reversed(FLAGS):
        command = click.option(*flag.names, _argument_name(flag), metavar=flag.metavar, help=flag.help)(command)
    return command


def make_overrides(given: dict[str, str | None]) -> list[Override]:
    """
    :param given: what a command with :func:`with_flags` received
    :return: the values that were given, as overrides; they are YAML, like those of ``--set``
    """
    from sb3_ext.config import parse_override

    values = [(flag.key, given[_argument_name(flag)], flag.names[0]) for flag in FLAGS]
    return [
        parse_override(f"{key}={value}", name)
        for flag_key, flag_value, name in values
        if flag_value is not None
        for key, value in _translate(flag_key, flag_value)
    ]


def _translate(key: str, value: str) -> list[tuple[str, str]]:
    """``50ep`` counts episodes, and no steps; numbers of workers ask for workers."""
    if key == f"{_CHECKPOINT}.interval" and value.endswith("ep"):
        return [(key, "null"), (f"{_CHECKPOINT}.every_episodes", value.removesuffix("ep"))]
    if key in ("parallel.num_workers", "parallel.num_envs_per_worker"):
        return [("parallel.mode", "workers"), (key, value)]
    return [(key, value)]


def _argument_name(flag: Flag) -> str:
    return flag.key.replace(".", "_")
