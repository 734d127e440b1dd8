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


def test_right_moves_are_drawn_where_evaluations_count_them(figures: list[Figure]) -> None:
    lines = make_evaluations(3)
    for line, share in zip(lines[1:], (0.5, 0.75), strict=True):  # the first was before a resume with positions
        line["right_moves"] = {"share": 0.9, "share_where_it_matters": share}
    plot_curves(make_metrics(), lines, Path("x.png"))

    [figure] = figures
    (panel,) = [axes for axes in figure.axes if axes.get_title(loc="left") == "Right moves where the choice matters"]
    assert [line.get_xydata().tolist() for line in panel.lines] == [[[100.0, 0.5], [200.0, 0.75]]]


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


def test_labels_have_room(figures: list[Figure]) -> None:
    numbers = np.linspace(1, 2, 20)
    columns = {
        "train/loss": -1e5 * numbers,
        "train/value_loss": 4e5 * numbers,
        "train/policy_loss": 1e-9 * numbers,
        "train/ent_coef": 7.5e-5 * numbers,
        "train/learning_rate": 7.5e-4 * (1 + numbers / 10),
        "time/fps": 1e8 + numbers,
    }
    plot_curves(make_metrics(**{name: values.tolist() for name, values in columns.items()}), [], Path("x.png"))

    [figure] = figures
    panels = [axes.get_window_extent() for axes in figure.axes]
    for axes, panel in zip(figure.axes, panels, strict=True):
        for axis in (axes.xaxis, axes.yaxis):
            low, high = sorted(axis.get_view_interval())
            for value, label in zip(axis.get_majorticklocs(), axis.get_majorticklabels(), strict=True):
                box = label.get_window_extent()
                if low <= value <= high:
                    assert box.x0 >= 0, label
                    assert not any(other.overlaps(box) for other in panels if other is not panel), label


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


@pytest.mark.parametrize("outcomes", [(0.0, 1.0), (-1.0, 1.0), (-1.0, 0.0, 1.0), (-2.0, 2.0)])
def test_the_band_of_wins_and_losses_is_the_interval_of_their_mean(outcomes: tuple[float, ...]) -> None:
    shares = [0.3, 0.7] if len(outcomes) == 2 else [0.3, 0.2, 0.5]
    values = np.random.default_rng(0).choice(outcomes, 2000, p=shares)
    found = smooth(Series(np.arange(2000.0), values), 100)
    low, high = min(outcomes), max(outcomes)

    assert found.band == "95 % interval"
    widths = (found.high - found.low)[200:] / (high - low)
    assert 0.12 < widths.min() <= widths.max() < 0.22  # with quartiles: 0, a half or 1
    assert (low <= found.low).all()
    assert (found.low <= found.mean + 1e-12).all()
    assert (found.mean - 1e-12 <= found.high).all()
    assert (found.high <= high).all()


@pytest.mark.parametrize("values", [[1.0, 2.0, 7.0] * 20, [3.0] * 60, [0.5, 1.0, 2.0, 4.0] * 15])
def test_other_returns_have_quartiles(values: list[float]) -> None:
    found = smooth(Series(np.arange(60.0), np.array(values)), 12)

    assert found.band == "quartiles"
    assert (found.low[-1], found.high[-1]) == tuple(np.percentile(values[-12:], (25, 75)))


def make_games(payoff: float = 1.0, episodes: int = 400) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    metrics = make_metrics(episodes, logs=0)
    metrics["episodes"]["return"] = np.random.default_rng(1).choice([-payoff, 0.0, payoff], episodes).tolist()
    results = [payoff] * 7 + [0.0] * 2 + [-payoff]
    return metrics, make_evaluations(mean_return=0.6 * payoff, returns=results, episodes=10, ci95=[0.0, 1.0])


@pytest.mark.parametrize("payoff", [1.0, 5.0])
def test_a_game_of_win_and_loss_shows_its_win_rate_with_interval(figures: list[Figure], payoff: float) -> None:
    metrics, evaluations = make_games(payoff)
    plot_curves(metrics, evaluations, Path("x.png"), of_game=True)

    top = figures[0].axes[0]
    assert top.get_title(loc="left") == "Win rate (a draw is half a win)"
    assert top.get_ylim() == (-0.02, 1.02)
    assert [label.get_text() for label in top.get_yticklabels()][1:3] == ["0 %", "20 %"]
    episodes, mean, evaluated = top.lines
    assert set(episodes.get_ydata()) == {0.0, 0.5, 1.0}
    assert 0.2 < min(mean.get_ydata()[50:]) < max(mean.get_ydata()) < 0.8
    assert set(evaluated.get_ydata()) == {0.8}
    legend = [text.get_text() for text in top.get_legend().get_texts()]
    assert "mean of 20 episodes, with 95 % interval" in legend
    interval = top.collections[1].get_segments()[0][:, 1]
    assert interval.tolist() == pytest.approx([0.4902, 0.9433], abs=1e-3)  # Wilson's of 8 in 10


def test_returns_other_than_wins_and_losses_are_not_converted_to_scores(figures: list[Figure]) -> None:
    metrics, evaluations = make_games()
    metrics["episodes"]["return"][0] = 3.5
    plot_curves(metrics, evaluations, Path("x.png"), of_game=True)

    assert figures[0].axes[0].get_title(loc="left") == "Return"
    assert figures[0].axes[0].lines[2].get_ydata().tolist() == [0.6] * 3


@pytest.mark.parametrize("evaluations", [0, 3])
def test_a_game_on_mirror_boards_alone_has_no_returns(figures: list[Figure], evaluations: int) -> None:
    _, lines = make_games()
    plot_curves(make_metrics(0, logs=0), lines[:evaluations], Path("x.png"), of_game=True)

    assert figures[0].axes[0].get_title(loc="left") == "Win rate (a draw is half a win)"
    assert len(figures[0].axes[0].lines) == (evaluations > 0)


def test_missing_series_are_left_out() -> None:
    series = Series.read([1, 2, None, 4], [1.0, None, 3.0, math.inf])
    assert (series.x.tolist(), series.y.tolist()) == ([1], [1])


def test_thinning_keeps_both_ends() -> None:
    thinned = Series(np.arange(50_000.0), np.arange(50_000.0)).thin()
    assert len(thinned) == MAX_POINTS
    assert (thinned.x[0], thinned.x[-1]) == (0, 49_999)


@pytest.mark.parametrize(("count", "window"), [(0, 1), (1, 1), (39, 1), (40, 2), (1000, 50), (10**6, 100)])
def test_window(count: int, window: int) -> None:
    assert choose_window(count) == window


def test_few_points_are_points(figures: list[Figure]) -> None:
    plot_curves(make_metrics(1, logs=1), make_evaluations(0), Path("x.png"))
    plot_curves(make_metrics(3000, logs=1), make_evaluations(0), Path("x.png"))

    few, many = figures
    assert all("o" in [line.get_marker() for line in axes.lines] for axes in few.axes)
    assert [text.get_text() for text in few.axes[0].get_legend().get_texts()] == ["training episode"]
    assert many.axes[0].lines[1].get_marker() == "None"
