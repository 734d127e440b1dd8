"""Which checkpoints stay, as a table."""

from __future__ import annotations

from typing import Any

import pytest

from sb3_ext.checkpoints.store.retention import Candidate, Retention, choose_kept, count_bytes


def make_candidates(steps: list[int], scores: dict[int, float] | None = None, size: int = 10) -> list[Candidate]:
    return [Candidate(step, (scores or {}).get(step), {step: size}) for step in steps]


@pytest.mark.parametrize(
    ("steps", "scores", "rules", "kept"),
    [
        ([], {}, {}, set()),
        ([10], {}, {"keep_last": 1}, {10}),
        ([10, 20, 30, 40, 50], {}, {}, {30, 40, 50}),
        ([50, 10, 40, 20, 30], {}, {}, {30, 40, 50}),
        ([10, 20, 30, 40], {}, {"keep_last": 1}, {30, 40}),  # the last two always stay
        ([10, 20, 30, 40], {}, {"keep_last": None}, {10, 20, 30, 40}),
        ([10, 20, 30, 40, 50], {10: 1.0}, {}, {10, 30, 40, 50}),
        ([10, 20, 30, 40, 50], {10: 1.0, 20: 2.0}, {}, {20, 30, 40, 50}),
        ([10, 20, 30, 40, 50], {10: 1.0, 20: 2.0}, {"keep_best": 2}, {10, 20, 30, 40, 50}),
        ([10, 20, 30, 40, 50], {10: -7.0, 20: -3.0}, {"keep_best": None, "keep_last": 2}, {20, 40, 50}),
        ([10, 20, 30, 40, 50], {10: 1.0, 20: 1.0}, {"keep_last": 2}, {20, 40, 50}),  # of equals the newest
        ([96, 104, 152, 208, 256, 304], {}, {"keep_last": 2, "milestone_steps": 100}, {104, 208, 256, 304}),
        (
            [104, 208, 256, 304],
            {},
            {"keep_last": 2, "milestone_steps": 100},
            {104, 208, 256, 304},
        ),  # and again
        ([10, 20, 30, 40, 50], {}, {"keep_last": None, "max_disk_bytes": 35}, {30, 40, 50}),
        ([10, 20, 30, 40, 50], {}, {"keep_last": None, "max_disk_bytes": 30}, {30, 40, 50}),
        ([10, 20, 30, 40, 50], {10: 1.0}, {"keep_last": None, "max_disk_bytes": 1}, {10, 40, 50}),  # never these
        ([100, 200, 300], {}, {"keep_last": 2, "milestone_steps": 100, "max_disk_bytes": 20}, {200, 300}),
    ],
)
def test_retention_rules_keep_the_right_checkpoints(
    steps: list[int], scores: dict[int, float], rules: dict[str, Any], kept: set[int]
) -> None:
    assert choose_kept(make_candidates(steps, scores), Retention(**rules)) == kept


def test_a_shared_file_counts_once_until_its_last_checkpoint_is_removed() -> None:
    shared = [
        Candidate(10, None, {"segment": 100, "model 10": 1}),
        Candidate(20, None, {"segment": 100, "model 20": 1}),
        Candidate(30, None, {"segment": 100, "model 30": 1}),
        Candidate(40, None, {"segment": 100, "model 40": 1}),
    ]

    assert count_bytes(shared) == 104
    assert choose_kept(shared, Retention(keep_last=None, max_disk_bytes=103)) == {20, 30, 40}


@pytest.mark.parametrize("name", ["keep_last", "keep_best", "milestone_steps", "max_disk_bytes"])
def test_rules_must_be_positive(name: str) -> None:
    with pytest.raises(ValueError, match=f"{name} must be positive, but got 0"):
        Retention(**{name: 0})
