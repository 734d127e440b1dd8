"""The heat map, read back as pixels."""

from __future__ import annotations

from pathlib import Path

import matplotlib.image
import numpy as np
import pytest

from sb3_ext.reports.payoff import Payoff, plot_payoffs

WON, LOST = Payoff(1.0, 1.0, 1.0), Payoff(0.0, 0.0, 0.0)


def count_pixels(path: Path, color: tuple[int, int, int]) -> int:
    pixels = matplotlib.image.imread(path)[..., :3] * 255
    return int((np.abs(pixels - np.array(color)).max(axis=-1) < 2).sum())


def test_won_is_blue_and_lost_is_orange(tmp_path: Path) -> None:
    blue, orange = (0x00, 0x72, 0xB2), (0xD5, 0x5E, 0x00)
    plot_payoffs(
        ["a", "b", "c"], [[None, WON, WON], [LOST, None, WON], [LOST, LOST, None]], tmp_path / "a.png", title="a"
    )
    plot_payoffs(
        ["a", "b", "c"], [[None, WON, None], [None, None, None], [None, None, None]], tmp_path / "b.png", title="b"
    )
    one_cell = count_pixels(tmp_path / "b.png", blue)
    assert one_cell > 2000
    assert count_pixels(tmp_path / "a.png", blue) == pytest.approx(3 * one_cell, rel=0.1)
    assert count_pixels(tmp_path / "a.png", orange) == pytest.approx(3 * one_cell, rel=0.1)


def test_nothing_is_empty_at_the_edges(tmp_path: Path) -> None:
    for names in (["a", "b"], [f"episode_{n:09}" for n in range(8)]):
        payoffs = [[WON if row < column else None for column in names] for row in names]
        plot_payoffs(
            names, payoffs, tmp_path / "a.png", title="a: connect4", labels=[f"{name} (best)" for name in names]
        )
        is_ink = (matplotlib.image.imread(tmp_path / "a.png")[..., :3] < 0.9).any(axis=-1)
        for lines in (is_ink.any(axis=0), is_ink.any(axis=1)):
            used = np.flatnonzero(lines)
            assert max(used[0], len(lines) - 1 - used[-1]) < 25  # pixels, 100 an inch


def test_an_unknown_format_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="txt"):
        plot_payoffs(["a"], [[None]], tmp_path / "a.txt", title="a")
