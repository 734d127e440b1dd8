"""``sb3-ext train`` in several processes that ``torchrun`` starts, which train one model together."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from sb3_ext.config import Override
    from sb3_ext.ranks.placement import RankPlacement
    from sb3_ext.ranks.rank_group import RankGroup
    from sb3_ext.training.start import RunStart

_EXIT_REQUEUE = 75
_EXIT_BY_REASON = {"signal SIGTERM": 75, "signal SIGINT": 130}


def train_ranks(
    placement: RankPlacement,
    begin: Callable[[], RunStart],
    source: str | None,
    overrides: Sequence[Override],
    *,
    rendered: bool = False,
) -> int:
    """
    Train as one of several ranks. Rank 0 owns the run directory and prints; the others only train.

    :param placement: the place of this process
    :param begin: claims the run directory, on rank 0
    :param source: the configuration
    :param overrides: overrides from the command line
    :param rendered: show the environments of rank 0 in a window
    :return: the exit status of this process
    :raises Sb3ExtError: on rank 0, if the ranks cannot train this together
    """
    import torch

    from sb3_ext.errors import RankLostError
    from sb3_ext.ranks.rank_group import MissingBackendError, RankGroup
    from sb3_ext.runs.signals import dying_of_signals
    from sb3_ext.training.other_ranks import EXIT_USAGE
    from sb3_ext.vec.process_lifetime import request_sigterm_from_parent

    request_sigterm_from_parent()  # of a launcher that is killed
    try:
        with dying_of_signals():
            group = RankGroup(placement, uses_gpus=torch.cuda.is_available())
    except MissingBackendError:
        if placement.rank > 0:
            return EXIT_USAGE  # rank 0 reports it
        raise
    with group:
        try:
            if group.is_leader:
                return _lead(group, begin, source, overrides, rendered=rendered)
            return _follow(group, source, overrides)
        except RankLostError as error:
            click.echo(f"rank {group.rank}: {error}", err=True)
            return _EXIT_REQUEUE


def _lead(
    group: RankGroup,
    begin: Callable[[], RunStart],
    source: str | None,
    overrides: Sequence[Override],
    *,
    rendered: bool,
) -> int:
    from sb3_ext.building.rank_share import validate_ranks
    from sb3_ext.cli.train import carry_out
    from sb3_ext.ranks.same_inputs import validate_same_inputs
    from sb3_ext.training.other_ranks import EXIT_USAGE, dismiss
    from sb3_ext.training.resuming import AlreadyCompleted

    exit_status: int | None = EXIT_USAGE
    try:
        validate_same_inputs(group, _describe_inputs(source, overrides))
        start = begin()
        with start.session.preparing():
            validate_ranks(start.config, group.size)
        exit_status = None
    except AlreadyCompleted as completed:
        click.echo(str(completed))
        exit_status = 0
        return exit_status
    finally:
        if exit_status is not None:
            dismiss(group, exit_status)
    return carry_out(dataclasses.replace(start, group=group), rendered=rendered)


def _follow(group: RankGroup, source: str | None, overrides: Sequence[Override]) -> int:
    from sb3_ext.ranks.same_inputs import validate_same_inputs
    from sb3_ext.training.other_ranks import NothingToDo, train_assigned

    validate_same_inputs(group, _describe_inputs(source, overrides))
    ended = train_assigned(group)
    return ended.exit_status if isinstance(ended, NothingToDo) else _EXIT_BY_REASON.get(ended or "", 0)


def _describe_inputs(source: str | None, overrides: Sequence[Override]) -> dict[str, str]:
    """:return: by name, what must be the same on all ranks"""
    from sb3_ext.checkpoints.bundle.versions import read_versions
    from sb3_ext.config import read_source
    from sb3_ext.errors import Sb3ExtError

    try:
        text = read_source(source).text
    except Sb3ExtError as error:
        text = str(error)
    options = ", ".join(f"{'.'.join(map(str, item.key))}={item.value!r}" for item in overrides)
    return {"configuration": text, "options": options, **read_versions()}
