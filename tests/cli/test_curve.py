"""Curves made of characters."""

from __future__ import annotations

from sb3_ext.cli.curve import average_bins, draw_curve, draw_sparkline


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
