"""training_curves.png: drawn from whatever data there is, and only from that."""

from __future__ import annotations

import math
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from matplotlib.figure import Figure
from matplotlib.image import imread

from sb3_ext.reports import curves as curves_module
from sb3_ext.reports.curves import plot_curves
from sb3_ext.reports.series import MAX_POINTS, Series, choose_window, smooth

rng = np.random.default_rng(0)


def make_metrics(episodes: int = 50, logs: int = 20, **columns: Any) -> dict[str, Any]:
    returns = rng.normal(-100, 5, episodes).tolist()
    return {
        "summary": {},
        "episodes": {
            "step": list(range(10, 10 * episodes + 1, 10)),
            "return": returns,
            "length": [10] * episodes,
            "elapsed_seconds": list(range(episodes)),
        },
        "training": {"step": list(range(logs)), "elapsed_seconds": list(range(logs)), **columns},
    }


def make_evaluations(count: int = 3, **fields: Any) -> list[dict[str, Any]]:
    return [
        {"step": 100 * n, "elapsed_seconds": n, "mean_return": -90.0, "ci95": [-95, -85], "mean_length": 10, **fields}
        for n in range(count)
    ]


@pytest.fixture
def figures(monkeypatch: pytest.MonkeyPatch) -> list[Figure]:
    """The figures that were saved."""
    saved: list[Figure] = []

    def save(figure: Figure, path: Path) -> None:
        saved.append(figure)
        figure.canvas.draw()

    monkeypatch.setattr(curves_module, "save_figure", save)
    return saved


def list_titles(figure: Figure) -> list[str]:
    return [axes.get_title(loc="left") for axes in figure.axes]


def test_panels_are_drawn_where_there_is_data(figures: list[Figure]) -> None:
    metrics = make_metrics(
        **{
            "train/loss": [1.0] * 20,
            "train/mean_q": [None] * 20,
            "train/learning_rate": [None] * 19 + [3e-4],
            "rollout/exploration_rate": [0.5] * 20,
            "time/fps": list(range(20)),
            "train/n_updates": list(range(20)),
        }
    )
    plot_curves(metrics, make_evaluations(), Path("x.png"), title="a run")

    [figure] = figures
    assert list_titles(figure) == [
        "Return", "Episode length", "Loss", "Exploration rate", "Learning rate", "Steps per second"
    ]  # fmt: skip
    assert figure.get_suptitle() == "a run"


def test_evaluations_have_error_bars_where_they_have_an_interval(figures: list[Figure]) -> None:
    evaluations = [*make_evaluations(2), *make_evaluations(1, ci95=None), *make_evaluations(1, ci95=[None, None])]
    plot_curves(make_metrics(), evaluations, Path("x.png"))

    bars = [segment for lines in figures[0].axes[0].collections[1:] for segment in lines.get_segments()]
    assert [segment[:, 1].tolist() for segment in bars] == [[-95, -85]] * 2


@pytest.mark.parametrize("episodes", [0, 1, 2, 3000])
@pytest.mark.parametrize("evaluations", [0, 1])
def test_any_amount_of_data(figures: list[Figure], episodes: int, evaluations: int) -> None:
    plot_curves(make_metrics(episodes, logs=0), make_evaluations(evaluations), Path("x.png"))

    assert list_titles(figures[0]) == ["Return"] + ["Episode length"] * (episodes > 0)
    for line in figures[0].axes[0].lines:
        assert len(line.get_xdata()) <= MAX_POINTS


@pytest.mark.parametrize(
    ("values", "limits"), [([2.0] * 20, (0, 4)), ([-2.0] * 20, (-4, 0)), ([0.0] * 20, None), ([1.0, 2.0] * 10, None)]
)
def test_a_constant_is_not_magnified(
    figures: list[Figure], values: list[float], limits: tuple[float, float] | None
) -> None:
    plot_curves(make_metrics(**{"train/learning_rate": values}), [], Path("x.png"))

    found = figures[0].axes[-1].get_ylim()
    assert (found == limits) is (limits is not None)


@pytest.mark.parametrize("name", ["curves.png", "curves.svg"])
def test_writes_the_format_of_the_suffix(tmp_path: Path, name: str) -> None:
    plot_curves(make_metrics(**{"train/loss": [1.0] * 20}), make_evaluations(), tmp_path / name)

    content = (tmp_path / name).read_bytes()
    assert content.startswith(b"\x89PNG") if name.endswith("png") else b"<svg" in content
    assert [path.name for path in tmp_path.iterdir()] == [name]
    if name.endswith("png"):
        image = imread(tmp_path / name)
        assert image.shape[1] == 1400
        assert np.ptp(image) > 0.9


def test_an_unknown_format_is_an_error_and_leaves_no_file(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="bmp"):
        plot_curves(make_metrics(), [], tmp_path / "curves.bmp")
    assert list(tmp_path.iterdir()) == []


def test_pyplot_is_not_involved() -> None:
    assert "matplotlib.pyplot" not in sys.modules or not sys.modules["matplotlib.pyplot"].get_fignums()


def test_smoothing_looks_back_and_never_ahead() -> None:
    series = Series(np.arange(6.0), np.array([0.0, 0.0, 0.0, 6.0, 6.0, 6.0]))

    smoothed = smooth(series, 3)

    assert smoothed.x.tolist() == series.x.tolist()
    assert smoothed.mean.tolist() == [0, 0, 0, 2, 4, 6]
    assert smoothed.low.tolist() == [0, 0, 0, 0, 3, 6]
    assert smoothed.high.tolist() == [0, 0, 0, 3, 6, 6]


def test_what_is_missing_is_left_out() -> None:
    series = Series.read([1, 2, None, 4], [1.0, None, 3.0, math.inf])
    assert (series.x.tolist(), series.y.tolist()) == ([1], [1])


def test_thinning_keeps_both_ends() -> None:
    thinned = Series(np.arange(50_000.0), np.arange(50_000.0)).thin()
    assert len(thinned) == MAX_POINTS
    assert (thinned.x[0], thinned.x[-1]) == (0, 49_999)


@pytest.mark.parametrize(("count", "window"), [(0, 1), (1, 1), (39, 1), (40, 2), (1000, 50), (10**6, 100)])
def test_window(count: int, window: int) -> None:
    assert choose_window(count) == window
