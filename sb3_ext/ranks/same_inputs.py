"""Check that all ranks train the same, with the same versions."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import zip_longest

from sb3_ext.errors import RankError
from sb3_ext.ranks.rank_group import RankGroup

_LONGEST_VALUE = 60  # characters


def validate_same_inputs(group: RankGroup, inputs: Mapping[str, str]) -> None:
    """
    Check that all ranks have the same configuration and versions.

    :param group: the ranks
    :param inputs: by name, what must be the same on all ranks
    :raises RankError: on rank 0, with the first difference of each rank that differs from it
    :raises RankLostError: if a rank has ended
    """
    found = group.gather(dict(inputs))
    if not group.is_leader:
        return
    problems = []
    for rank, other in enumerate(found):
        for name, value in inputs.items():
            if other.get(name) != value:
                difference = _describe_difference(other.get(name, "none"), value)
                problems.append(f"rank {rank} and rank 0 differ in {name}: {difference}")
                break
    if problems:
        raise RankError("; ".join(problems))


def _describe_difference(found: str, expected: str) -> str:
    """:return: the first lines that differ, and their number if there are several lines"""
    lines = list(zip_longest(found.splitlines(), expected.splitlines(), fillvalue=""))
    number, pair = next(((n, pair) for n, pair in enumerate(lines, 1) if pair[0] != pair[1]), (0, (found, expected)))
    theirs, ours = map(_shorten, pair)
    return f"{theirs}, not {ours}" if len(lines) == 1 else f"line {number} is {theirs}, not {ours}"


def _shorten(text: str) -> str:
    line = " ".join(text.split())
    return repr(line if len(line) <= _LONGEST_VALUE else f"{line[:_LONGEST_VALUE]}…")
