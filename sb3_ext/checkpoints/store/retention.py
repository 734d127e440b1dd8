"""Which checkpoints stay: a pure rule over what is known of each."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass

from sb3_ext.config.callback_schema import CheckpointParams

_ALWAYS_LAST = 2
_DEFAULTS = CheckpointParams()


@dataclass(frozen=True)
class Retention:
    """
    A checkpoint stays if one of the rules keeps it, within the disk budget. The best one and the last two always stay.

    :param keep_last: how many of the newest; ``None`` keeps them all
    :param keep_best: how many of those with the highest scores; ``None`` keeps only the best
    :param milestone_steps: the first one at or after each multiple of this many environment transitions
    :param max_disk_bytes: for all together, a shared file counted once; beyond it the oldest go first
    :raises ValueError: if one of them is not positive
    """

    keep_last: int | None = _DEFAULTS.keep_last
    keep_best: int | None = _DEFAULTS.keep_best
    milestone_steps: int | None = None
    max_disk_bytes: int | None = None

    def __post_init__(self) -> None:
        for name, value in vars(self).items():
            if value is not None and value <= 0:
                raise ValueError(f"{name} must be positive, but got {value}")


@dataclass(frozen=True)
class Candidate:
    """
    What the rule needs to know of a checkpoint.

    :param step: environment transitions so far
    :param score: higher is better; ``None`` without one that can be compared
    :param files: identity and size in bytes of every file; checkpoints that share a file name the same identity
    """

    step: int
    score: float | None
    files: Mapping[Hashable, int]


def choose_kept(candidates: Sequence[Candidate], retention: Retention) -> set[int]:
    """
    :param candidates: the good checkpoints, in any order
    :param retention: the rules
    :return: the steps of those that stay
    """
    newest_first = sorted(candidates, key=lambda candidate: -candidate.step)
    protected = {candidate.step for candidate in newest_first[:_ALWAYS_LAST]} | _choose_best(candidates, 1)
    kept = protected | {candidate.step for candidate in newest_first[: retention.keep_last]}
    kept |= _choose_best(candidates, retention.keep_best or 1)
    if retention.milestone_steps is not None:
        kept |= _choose_milestones(newest_first, retention.milestone_steps)
    if retention.max_disk_bytes is not None:
        for step in sorted(kept - protected):
            if count_bytes(candidate for candidate in candidates if candidate.step in kept) <= retention.max_disk_bytes:
                break
            kept.remove(step)
    return kept


def count_bytes(candidates: Iterable[Candidate]) -> int:
    """
    :param candidates: checkpoints
    :return: the disk space of all together, a shared file counted once
    """
    sizes: dict[Hashable, int] = {}
    for candidate in candidates:
        sizes.update(candidate.files)
    return sum(sizes.values())


def _choose_best(candidates: Sequence[Candidate], count: int) -> set[int]:
    scored = [(candidate.score, candidate.step) for candidate in candidates if candidate.score is not None]
    return {step for _, step in sorted(scored, reverse=True)[:count]}


def _choose_milestones(newest_first: Sequence[Candidate], every_steps: int) -> set[int]:
    # The lowest step in every interval wins, so that it stays the winner when others have been pruned.
    first_of_interval = {candidate.step // every_steps: candidate.step for candidate in newest_first}
    return {step for interval, step in first_of_interval.items() if interval > 0}
