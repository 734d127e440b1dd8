"""Runs as lines of text."""

from __future__ import annotations

import dataclasses
import re

import click
import pytest
from rich.cells import cell_len

from sb3_ext.cli.run_lines import format_lines, format_rating
from sb3_ext.errors import RunError
from sb3_ext.runs.status import RunStatus

RUNNING = RunStatus(step=12345, total_steps=50000, episode=678, epsilon=0.42, elapsed_seconds=5025.7, pid=12345)


def format_plain(*runs: tuple[str, RunStatus | RunError], width: int | None = None) -> list[str]:
    return [click.unstyle(line) for line in format_lines(runs, width)]


def test_a_run_is_a_line() -> None:
    assert format_plain(("my_experiment", RUNNING)) == [
        "  my_experiment    running    step=12345/50000 (24.7%)  ep=678  ε=0.4200  [1h 23m 45s]  (pid=12345)"
    ]


def test_the_share_is_that_of_the_bound_that_ends_the_run_first() -> None:
    by_time = dataclasses.replace(RUNNING, used_share=0.75)
    by_steps = dataclasses.replace(RUNNING, used_share=0.2469)
    without_steps = RunStatus(step=100, used_share=0.5)
    lines = [re.sub(" +", " ", format_plain(("a", record))[0]) for record in (by_time, by_steps, without_steps)]
    assert "step=12345 (75.0%)" in lines[0]
    assert "step=12345/50000 (24.7%)" in lines[1]
    assert "step=100 (50.0%)" in lines[2]


def test_columns_are_aligned_and_empty_ones_left_out() -> None:
    ended = RunStatus(status="completed", step=7, episode=1, elapsed_seconds=9, pid=1, stop_reason="total_steps")
    without_epsilon = RunStatus(step=100, episode=10, elapsed_seconds=61, pid=22)

    assert format_plain(("a", ended), ("long_name", without_epsilon)) == [
        "  a            completed  step=7    ep=1   [9.0s]   (pid=1)   total_steps",
        "  long_name    running    step=100  ep=10  [1m 1s]  (pid=22)",
    ]


def test_a_corrupt_run_says_so_among_the_others() -> None:
    lines = format_plain(("a", RunError("a/status.json: corrupt: no")), ("b", RUNNING))

    assert lines[0].split() == ["a", "corrupt", "a/status.json:", "corrupt:", "no"]
    assert lines[1].startswith("  b    running    step=")


def test_a_stale_run_says_for_how_long() -> None:
    stale = RunStatus(status="stale", heartbeat_age_seconds=3723)

    assert format_plain(("a", stale))[0].endswith("no heartbeat for 1h 2m 3s")


def test_a_process_of_another_host_is_named_with_it() -> None:
    owner = {"host": "node7", "boot_id": "b", "process_start_ticks": 1}

    assert format_plain(("a", dataclasses.replace(RUNNING, **owner)))[0].endswith("(pid=12345 on node7)")


def test_a_long_reason_is_shortened_in_a_terminal_only() -> None:
    reason = "error: ValueError: " + "very " * 100 + "long"
    failed = RunStatus(status="failed", stop_reason=reason)

    assert format_plain(("a", failed))[0].endswith(reason)
    assert format_plain(("a", failed), width=300)[0].endswith("very…")
    assert cell_len(format_plain(("a", failed), width=300)[0]) < 110


MANY = [
    *((f"cartpole_ppo_2026-11-29_12-{minute:02}-00", RUNNING) for minute in range(30)),
    ("a_sweep/ppo_learning_rate_0.0003_gamma_0.99_net_arch_64_64_seed_1", RUNNING),
    ("長い名前の実験", RunStatus(status="failed", step=7, stop_reason="error: ValueError: no (x.py:1)")),
]


@pytest.mark.parametrize(
    ("width", "last"),
    [
        (80, ["failed", "step=7", "[0.0s]"]),
        (100, ["failed", "step=7", "[0.0s]", "error: Val…"]),
        (160, ["failed", "step=7", "ep=0", "[0.0s]", "error: ValueError: no (x.py:1)"]),
    ],
)
def test_a_narrow_terminal_shows_fewer_columns(width: int, last: list[str]) -> None:
    lines = format_plain(*MANY, width=width)

    assert max(map(cell_len, lines)) <= width
    assert len({line.split()[0] for line in lines}) == len(MANY) + 1  # the name of the sweep
    assert re.split(" {2,}", lines[-1].strip()) == ["長い名前の実験", *last]


@pytest.mark.parametrize("width", [80, 100, 160])
def test_runs_of_a_sweep_are_below_its_name_in_a_terminal(width: int) -> None:
    completed = RunStatus(status="completed", step=7, stop_reason="total_steps")
    members: list[tuple[str, RunStatus | RunError]] = [("seeds/seed_1", RUNNING), ("seeds/seed_2", completed)]
    runs = [("alone", RUNNING), *members, ("study/trial_0000", RunError("corrupt")), ("z", completed)]

    lines = format_plain(*runs, width=width)

    assert max(map(cell_len, lines)) <= width
    assert [line[:16].rstrip() for line in lines] == [
        *("  alone", "  seeds  2 runs:", "    seed_1", "    seed_2", "  study  1 run:", "    trial_0000", "  z"),
    ]
    assert lines[1] == "  seeds  2 runs: 1 running, 1 completed"
    assert lines[4] == "  study  1 run: 1 corrupt"
    assert [line.split()[0] for line in format_plain(*runs)] == [name for name, _ in runs]


def test_the_name_of_a_sweep_counts_runs_that_are_not_shown() -> None:
    completed = RunStatus(status="completed")
    found = [("seeds/seed_0", completed), ("seeds/seed_1", RUNNING), ("seeds/seed_2", completed)]

    lines = [click.unstyle(line) for line in format_lines(found[1:2], 80, found)]

    assert lines[0] == "  seeds  3 runs: 2 completed, 1 running"
    assert len(lines) == 2


def test_a_rating_is_a_mean_and_how_unsure_it_is() -> None:
    assert format_rating(RunStatus(rating=31.204, rating_sigma=1.65)) == "31.20 ± 1.65"
    assert format_rating(RunStatus()) is None


def test_no_runs_are_no_lines() -> None:
    assert format_plain() == []
