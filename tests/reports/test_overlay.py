"""Several runs in one picture and in one table."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import numpy as np
import pandas
import pytest
from matplotlib.figure import Figure

from sb3_ext.reports import overlay as overlay_module
from sb3_ext.reports.overlay import RunCurves, export_runs, plot_runs


def make_run(name: str, group: str, level: float = 0.0, steps: int = 1000, evaluations: int = 3) -> RunCurves:
    columns = {
        "step": list(range(0, steps + 1, 100)),
        "return": [level] * (steps // 100 + 1),
        "length": [100] * (steps // 100 + 1),
        "elapsed_seconds": [18.0 * step for step in range(0, steps + 1, 100)],
    }
    fields = {"mean_return": level, "ci95": [level - 1, level + 1], "mean_length": 7.5}
    lines = [{"step": 500 * n, "elapsed_seconds": 9000.0 * n, **fields} for n in range(evaluations)]
    return RunCurves(name, group, {"episodes": columns}, lines)


@pytest.fixture
def figures(monkeypatch: pytest.MonkeyPatch) -> list[Figure]:
    """The figures that were saved."""
    saved: list[Figure] = []

    def save(figure: Figure, path: Path) -> None:
        saved.append(figure)
        figure.canvas.draw()

    monkeypatch.setattr(overlay_module, "save_figure", save)
    return saved


def list_labels(figure: Figure) -> list[str]:
    return [text.get_text() for text in figure.legends[0].get_texts()]


def test_seeds_of_a_group_become_one_line(figures: list[Figure]) -> None:
    runs = [make_run(f"a{seed}", "a", level) for seed, level in enumerate((0, 3, 6))]
    plot_runs([*runs, make_run("b", "b"), make_run("c0", "c", 1), make_run("c1", "c", 2)], Path("x.png"))

    [figure] = figures
    assert list_labels(figure) == [
        "a: mean of 3 runs, 95 % interval", "b: moving average", "c: mean of 2 runs"
    ]  # fmt: skip
    mean = figure.axes[0].lines[3]
    assert set(mean.get_ydata()) == {3.0}
    # t(2) = 4.303, s = 3, n = 3
    band = figure.axes[0].collections[0].get_paths()[0].vertices[:, 1]
    assert (band.min(), band.max()) == pytest.approx((3 - 7.452, 3 + 7.452), abs=1e-3)


def test_the_interquartile_mean_of_seeds_has_a_bootstrap_interval(figures: list[Figure]) -> None:
    plot_runs([make_run(f"a{level}", "a", level) for level in (0, 2, 4, 100)], Path("x.png"), average="iqm")

    [figure] = figures
    assert list_labels(figure) == ["a: IQM of 4 runs, 95 % interval"]
    for panel in figure.axes[:2]:
        assert set(panel.lines[4].get_ydata()) == {3.0}  # without 0 and 100
        band = panel.collections[0].get_paths()[0].vertices[:, 1]
        assert band.min() <= 2 < 4 <= band.max() <= 100


def test_a_wide_interval_does_not_squeeze_the_curves(figures: list[Figure]) -> None:
    plot_runs([make_run(f"a{level}", "a", level) for level in (0, 3, 6)], Path("x.png"))

    low, high = figures[0].axes[0].get_ylim()
    assert -1 < low < 0
    assert 6 < high < 7


def test_the_mean_ends_where_the_shortest_seed_ends(figures: list[Figure]) -> None:
    plot_runs([make_run("a0", "a", steps=400), make_run("a1", "a", steps=1000)], Path("x.png"))

    mean = figures[0].axes[0].lines[2]
    assert (mean.get_xdata()[0], mean.get_xdata()[-1]) == (0, 400)


@pytest.mark.parametrize(
    ("steps", "label", "last"),
    [(100, "time (minutes)", 30.0), (5, "time (seconds)", 0.0), (1000, "time (hours)", 5.0)],
)
def test_over_time(figures: list[Figure], steps: int, label: str, last: float) -> None:
    plot_runs([make_run("a", "a", steps=steps, evaluations=0)], Path("x.png"), x="time")

    [axes] = figures[0].axes
    assert axes.get_xlabel() == label
    assert axes.lines[0].get_xdata()[-1] == pytest.approx(last)


@pytest.mark.parametrize("x", ["steps", "time"])
def test_evaluations_have_a_panel_if_there_are_any(figures: list[Figure], x: Literal["steps", "time"]) -> None:
    plot_runs([make_run("a", "a"), make_run("b", "b", evaluations=0)], Path("x.png"), x=x)

    assert [axes.get_title(loc="left") for axes in figures[0].axes] == [
        "Return of training episodes", "Return of evaluations"
    ]  # fmt: skip
    # Half an hour is 100 steps: the last evaluation is at step 1000, after five hours.
    assert figures[0].axes[1].lines[0].get_xdata()[-1] == pytest.approx({"steps": 1000, "time": 5.0}[x])


def test_more_groups_than_colours_are_told_apart(figures: list[Figure]) -> None:
    plot_runs([make_run(f"r{n}", f"g{n}", n, evaluations=0) for n in range(10)], Path("x.png"))

    looks = {(line.get_color(), line.get_linestyle()) for line in figures[0].axes[0].lines}
    assert len(looks) == 10


def test_runs_without_episodes(figures: list[Figure]) -> None:
    empty = RunCurves(
        "e", "e", {"episodes": {name: [] for name in ("step", "return", "length", "elapsed_seconds")}}, []
    )
    plot_runs([empty, RunCurves("f", "e", empty.metrics, [])], Path("x.png"))
    plot_runs([empty, make_run("a", "e")], Path("x.png"), x="time")
    assert len(figures) == 2


@pytest.mark.parametrize("name", ["runs.png", "runs.svg"])
def test_writes_the_format_of_the_suffix(tmp_path: Path, name: str) -> None:
    plot_runs([make_run("a", "a")], tmp_path / name)
    content = (tmp_path / name).read_bytes()
    assert content.startswith(b"\x89PNG") if name.endswith("png") else b"<svg" in content


def test_no_runs_are_an_error() -> None:
    with pytest.raises(ValueError, match="no runs to plot"):
        plot_runs([], Path("x.png"))


def test_the_table_is_for_pandas(tmp_path: Path) -> None:
    run = make_run("a, with comma", "a", 2.5, steps=100)
    run.metrics["episodes"]["return"][0] = None
    export_runs([run, make_run("b", "b", evaluations=0)], tmp_path / "runs.csv")

    table = pandas.read_csv(tmp_path / "runs.csv")
    assert table.columns.tolist() == ["group", "run", "kind", "step", "elapsed_seconds", "return", "length"]
    assert table.groupby(["run", "kind"]).size().to_dict() == {
        ("a, with comma", "episode"): 2, ("a, with comma", "evaluation"): 3, ("b", "episode"): 11
    }  # fmt: skip
    assert np.isnan(table["return"][0])
    assert table["return"][1] == 2.5


def make_game(name: str, group: str, returns: list[float]) -> RunCurves:
    run = make_run(name, group, steps=100 * (len(returns) - 1), evaluations=0)
    columns = {**run.metrics["episodes"], "return": returns}
    return RunCurves(name, group, {"episodes": columns}, [], of_game=True)


def test_win_rates_of_games(figures: list[Figure]) -> None:
    alone = make_game("a", "a", [1.0, 1.0, -1.0, 0.0] * 25)
    plot_runs([alone], Path("x.png"))
    plot_runs([alone, make_game("b", "b", [-5.0, 5.0])], Path("x.png"))
    plot_runs([alone, make_run("c", "c", evaluations=0)], Path("x.png"))

    one, two, mixed = (figure.axes[0] for figure in figures)
    assert one.get_title(loc="left") == two.get_title(loc="left") == "Win rate of training episodes"
    assert list_labels(figures[0]) == ["a: moving average, 95 % interval"]
    assert one.get_ylim() == (-0.02, 1.02)
    assert [line.get_ydata()[-1] for line in two.lines] == pytest.approx([0.6, 1.0])
    assert mixed.get_title(loc="left") == "Return of training episodes"
    assert mixed.lines[0].get_ydata()[-1] == pytest.approx(0.2)


def test_quartiles_of_one_run_only(figures: list[Figure]) -> None:
    plot_runs([make_run("a", "a", evaluations=0)], Path("x.png"))
    plot_runs([make_run("a", "a", evaluations=0), make_run("b", "b", evaluations=0)], Path("x.png"))

    one, two = figures
    assert list_labels(one) == ["a: moving average, quartiles"]
    assert (len(one.axes[0].collections), len(two.axes[0].collections)) == (1, 0)
