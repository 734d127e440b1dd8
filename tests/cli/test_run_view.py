"""What ``runs watch`` draws, at the widths that terminals have."""

from __future__ import annotations

import re

import click
import pytest
from rich.cells import cell_len

from sb3_ext.cli.run_view import _draw_run, _draw_runs
from sb3_ext.runs.status import RunStatus

RUNNING = RunStatus(
    phase="collecting", step=12_345, total_steps=50_000, episode=678, fps=591.0, eta_seconds=4000.0,
    elapsed_seconds=5025.7, episode_return_mean=123.456, epsilon=0.5, best_evaluation=475.0, rating=25.0,
    rating_sigma=1.5,
)  # fmt: skip
RETURNS = [float(n % 40) for n in range(200)]
LONG_NAME = "connect4_maskable_ppo_mirror_fraction_0.5_net_arch_256_256_2026-11-20_12-00-00"


def draw_runs(width: int, height: int = 40) -> list[str]:
    runs = [(LONG_NAME, RUNNING, RETURNS), ("長い名前の実験", RunStatus(step=7), []), ("c", RUNNING, RETURNS[:3])]
    return [click.unstyle(line) for line in _draw_runs(runs, width, height)]


@pytest.mark.parametrize(
    ("width", "last"),
    [
        (80, ["━━━╌╌╌╌╌╌╌╌╌╌╌", "24.7%", "return 123.46", "CURVE", "1h 6m 40s left"]),
        (100, ["━━━╌╌╌╌╌╌╌╌╌╌╌", "24.7%", "return 123.46", "CURVE", "1h 6m 40s left"]),
        (
            160,
            ["━━━━╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌", "24.7%", "return 123.46", "CURVE", "1h 6m 40s left",
             "12,345 of 50,000 steps", "591 steps/s", "678 episodes"],
        ),
    ],
)  # fmt: skip
def test_a_wide_terminal_shows_more_of_each_run(width: int, last: list[str]) -> None:
    lines = draw_runs(width)

    assert max(map(cell_len, lines)) <= width
    cells = [cell for cell in re.split(" {2,}", lines[5].strip()) if cell]
    assert [re.sub("[▁-█]+", "CURVE", cell) for cell in cells] == last
    assert lines[2].split()[:2] == ["長い名前の実験", "running"]
    assert "7 steps" in lines[3]


def test_as_many_runs_are_shown_as_the_terminal_has_lines_for() -> None:
    assert draw_runs(80, height=6)[-1] == "and 1 more; `sb3-ext runs list` has all"
    assert len(draw_runs(80, height=6)) == 5


@pytest.mark.parametrize(("width", "height"), [(80, 24), (100, 30), (160, 50)])
def test_one_run_takes_the_whole_width_and_has_axes(width: int, height: int) -> None:
    lines = [click.unstyle(line) for line in _draw_run(LONG_NAME, RUNNING, RETURNS, width, height)]

    assert max(map(cell_len, lines)) <= width
    assert len(lines) <= height
    assert not any(line.endswith(("best", "best evaluation")) for line in lines)
    assert [line.partition("┤")[0].strip() for line in lines if "┤" in line] == ["39.0", "0.0"]
    assert cell_len(lines[-2]) == cell_len(lines[-1]) == width
    assert [int(number) for number in lines[-1].split()[:-1]][:2] == {80: [0, 50], 100: [0, 50], 160: [0, 20]}[width]
    assert lines[-1].endswith("episodes")
