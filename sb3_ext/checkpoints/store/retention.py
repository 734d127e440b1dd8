"""Choose the checkpoints to keep."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass

from sb3_ext.config.callback_schema import CheckpointParams

_ALWAYS_LAST = 2
_DEFAULTS = CheckpointParams()


@dataclass(frozen=True)
class Retention:
    """
    Rules for checkpoints to keep, within a disk budget. The best one and the last two are always kept.

    :param keep_last: number of newest checkpoints; ``None`` keeps all
    :param keep_best: number of checkpoints with the highest scores; ``None`` keeps only the best
    :param milestone_steps: keep the first checkpoint at or after each multiple of this many environment transitions
    :param max_disk_bytes: disk budget, in which shared files count once; beyond it, the oldest are removed first
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
    A checkpoint, as far as the rules depend on it.

    :param step: environment transitions so far
    :param score: higher is better; ``None`` without a comparable score
    :param files: size in bytes of every file by its identity, which is the same in checkpoints that share the file
    """

    step: int
    score: float | None
    files: Mapping[Hashable, int]


def choose_kept(candidates: Sequence[Candidate], retention: Retention) -> set[int]:
    """
    :param candidates: the intact checkpoints, in any order
    :param retention: the rules
    :return: steps of the checkpoints to keep
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
    :return: their disk space, in which shared files count once
    """
    sizes: dict[Hashable, int] = {}
    for candidate in candidates:
        sizes.update(candidate.files)
    return sum(sizes.values())


def _choose_best(candidates: Sequence[Candidate], count: int) -> set[int]:
    scored = [(candidate.score, candidate.step) for candidate in candidates if candidate.score is not None]
    return {step for _, step in sorted(scored, reverse=True)[:count]}


def _choose_milestones(newest_first: Sequence[Candidate], every_steps: int) -> set[int]:
    # The lowest step of every interval, so that the choice stays the same after others were removed.
    first_of_interval = {candidate.step // every_steps: candidate.step for candidate in newest_first}
    return {step for interval, step in first_of_interval.items() if interval > 0}
