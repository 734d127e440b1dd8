"""Curves made of characters."""

from __future__ import annotations

import pytest

from sb3_ext.cli.curve import average_bins, draw_axis, draw_bar, draw_curve, draw_sparkline, resample


def test_a_long_series_becomes_means() -> None:
    assert average_bins([1, 3, 5, 7, 9, 11], 3) == [2.0, 6.0, 10.0]
    assert average_bins([1, 2, 3], 2) == [1.0, 2.5]


def test_a_short_series_stays() -> None:
    assert average_bins([1.0, 2.0], 5) == [1.0, 2.0]


def test_a_sparkline_reaches_from_the_smallest_to_the_greatest() -> None:
    assert draw_sparkline([-10, 0, 4]) == "▁▆█"
    assert draw_sparkline([3, 3]) == "▁▁"


def test_a_curve_has_two_values_a_character() -> None:
    assert draw_curve([0, 1, 2, 3], 1) == ["⡠⠊"]
    assert draw_curve([0, 7], 2) == ["⢸", "⡸"]
    assert draw_curve([7, 0, 0], 2) == ["⢱⠀", "⢸⡀"]
    assert draw_curve([5], 2) == ["⠀", "⡀"]


def test_a_series_is_stretched_by_straight_lines() -> None:
    assert resample([0.0, 4.0, 2.0], 5) == [0.0, 2.0, 4.0, 3.0, 2.0]
    assert resample([7.0], 3) == [7.0, 7.0, 7.0]
    assert resample([1, 3, 5, 7], 2) == [2.0, 6.0]
    assert resample([1, 3], 1) == [2.0]


def test_a_bar_is_full_at_the_end_and_not_before() -> None:
    assert [draw_bar(done, 100, 4) for done in (0, 49, 99, 100, 130)] == ["╌╌╌╌", "━╌╌╌", "━━━╌", "━━━━", "━━━━"]


@pytest.mark.parametrize(
    ("end", "width", "lines"),
    [
        (100, 41, ["┬───────────────────┬────────────────────", "0                  50            episodes"]),
        (1, 30, ["┬─────────────────────────────", "0                     episodes"]),
        (123_456, 41, ["┬───────────────┬────────────────────────", "0            50,000              episodes"]),
    ],
)
def test_an_axis_has_round_numbers(end: int, width: int, lines: list[str]) -> None:
    assert draw_axis(end, width, "episodes") == lines
