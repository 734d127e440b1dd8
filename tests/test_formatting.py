"""Format durations, sizes and long names."""

from __future__ import annotations

from pathlib import Path

import pytest
from rich.cells import cell_len

from sb3_ext.formatting import (
    format_bytes,
    format_duration,
    name_groups,
    name_paths,
    shorten_end,
    shorten_middle,
    shorten_names,
)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0, "0.0s"), (3.29, "3.2s"), (59.9, "59s"), (60, "1m 0s"), (5025, "1h 23m 45s"), (90061, "1d 1h 1m 1s")],
)
def test_durations_are_formatted(seconds: float, text: str) -> None:
    assert format_duration(seconds) == text


@pytest.mark.parametrize(
    ("size", "text"),
    [(0, "0 bytes"), (999, "999 bytes"), (12_345, "12.3 kB"), (5_000_000, "5.0 MB"), (2e15, "2000.0 TB")],
)
def test_sizes_are_formatted(size: float, text: str) -> None:
    assert format_bytes(size) == text


@pytest.mark.parametrize(
    ("text", "width", "end", "middle"),
    [
        ("short", 5, "short", "short"),
        ("a_long_name_1", 9, "a_long_n…", "a_lo…me_1"),
        ("a_long_name_1", 1, "…", "…"),
        # A wide character takes two columns, and half of one cannot be shown.
        ("漢字漢字漢字", 12, "漢字漢字漢字", "漢字漢字漢字"),
        ("漢字漢字漢字", 8, "漢字漢…", "漢字…字"),
    ],
)
def test_a_long_text_is_shortened(text: str, width: int, end: str, middle: str) -> None:
    assert (shorten_end(text, width), shorten_middle(text, width)) == (end, middle)
    assert max(cell_len(end), cell_len(middle)) <= width


def test_shortened_names_stay_different() -> None:
    assert shorten_names(["lr_0.001_seed_1", "lr_0.002_seed_1"], 9) == ["lr_0.001…", "lr_0.002…"]
    assert shorten_names(["lr_0.001_seed_1", "lr_0.001_seed_2", "a"], 9) == ["lr_0…ed_1", "lr_0…ed_2", "a"]
    assert shorten_names(["ppo_lr_1_long_seed_1", "ppo_lr_2_long_seed_1"], 3) == ["p…1", "p…1"]


def test_groups_are_named_by_the_common_beginning() -> None:
    groups = [["ppo_lr_1e-3_seed_1", "ppo_lr_1e-3_seed_2"], ["dqn-2026-11-20", "dqn-2026-11-21"], ["sac_baseline"]]
    assert name_groups(groups) == ["ppo_lr_1e-3", "dqn-2026-11", "sac_baseline"]
    assert name_groups([["s1", "s2"], ["s10", "s11"]]) == ["s1, s2", "s10, s11"]
    assert name_groups([["ppo_1", "ppo_2"], ["ppo_3", "ppo_4"], ["ppo"]]) == ["ppo_1, ppo_2", "ppo_3, ppo_4", "ppo"]
    assert name_groups([[f"{n:020}" for n in range(5)]]) == [f"{0:020} … {4:020}"]


def test_paths_are_named_by_their_unique_end() -> None:
    paths = [Path("/runs/a/ppo"), Path("/runs/b/ppo"), Path("/runs/dqn"), Path("/old/b/ppo"), Path("/runs/dqn")]
    assert name_paths(paths) == ["a/ppo", "runs/b/ppo", "dqn", "old/b/ppo", "dqn"]
    assert name_paths([Path("/ppo"), Path("/b/ppo")]) == ["/ppo", "b/ppo"]


def test_runs_of_one_directory_are_named_alike() -> None:
    paths = [Path("/runs/ppo/seed_0"), Path("/runs/ppo/seed_1"), Path("/runs/dqn/seed_0")]
    assert name_paths(paths) == ["ppo/seed_0", "ppo/seed_1", "dqn/seed_0"]
