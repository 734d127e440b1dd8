"""Runs side by side: figures, what makes them unfair, table, report and picture."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from matplotlib.figure import Figure
from matplotlib.image import imread

from sb3_ext.reports import comparison_figure
from sb3_ext.reports.comparability import find_differences
from sb3_ext.reports.comparison import ComparedRun, compare_runs
from sb3_ext.reports.comparison_figure import plot_comparison
from sb3_ext.reports.comparison_table import format_markdown, format_rows, list_notes
from sb3_ext.runs.run import Stretch
from sb3_ext.runs.status import RunStatus


def make_run(
    name: str,
    *,
    steps: int = 1000,
    fps: float = 100.0,
    level: float = 0.0,
    is_measured: bool = True,
    stretches: Sequence[Stretch] = (),
    **config: Any,
) -> ComparedRun:
    """One episode every ten steps; its return is ``level`` plus the step at which it ended."""
    ends = list(range(10, steps + 1, 10))
    seconds = steps / fps
    summary = {"step": steps, "elapsed_seconds": seconds, "fps": fps, "episode": len(ends)}
    episodes = {
        "step": ends,
        "return": [level + end for end in ends],
        "length": [10] * len(ends),
        "elapsed_seconds": [end / fps for end in ends],
    }
    benchmark = {
        "fps": {"mean": 2 * fps, "p10": fps, "p90": 3 * fps},
        "iteration_seconds": 0.0125,
        "shares": {"collecting": 0.25, "updating": 0.7},
        "memory": {"peak_bytes": 300e6, "mean_bytes": 250e6},
        "cpu": {"cores_used": 1.5},
        "machine": {"cpu_model": "Z80", "torch_threads": 1},
    }
    agent = {"id": "ppo", "policy": "MlpPolicy", "params": {"gamma": 0.99, "n_steps": 32}}
    record = RunStatus(
        "completed",
        step=steps,
        episode=len(ends),
        elapsed_seconds=seconds + 5,
        host="here",
        run_id=name,
        best_evaluation=12.5,
    )
    whole = {
        "seed": 1, "env": {"id": "CartPole-v1", "params": {}}, "parallel": {"mode": "sequential", "num_envs": 8},
        "agent": agent, "train": {"deterministic": False, "total_steps": 5}, **config,
    }  # fmt: skip
    meta = {"cpu_count": 2, "torch_version": "2.8"}
    metrics = {"summary": summary, "episodes": episodes, "training": {}}
    return ComparedRun(name, record, whole, meta, metrics, benchmark if is_measured else {}, stretches=stretches)


def test_returns_are_compared_where_all_runs_have_been() -> None:
    # Twice as fast and half as long in time, but further in steps.
    found = compare_runs([make_run("slow", steps=2000, fps=100.0), make_run("fast", steps=3000, fps=200.0, level=5.0)])

    assert (found.common_steps, found.common_seconds) == (2000, 15.0)
    slow, fast = found.figures
    # The last hundred episodes up to step 2000 end at 1010 … 2000; up to 15 s, at 510 … 1500 and at 2010 … 3000.
    assert (slow.return_at_steps, fast.return_at_steps) == (1505.0, 1510.0)
    assert (slow.return_at_time, fast.return_at_time) == (1005.0, 2510.0)
    assert (slow.speed_up, fast.speed_up) == (1.0, 2.0)
    assert (slow.fps, fast.fps) == (200.0, 400.0)
    assert not found.is_fps_overall


@pytest.mark.parametrize(
    ("parallel", "text"),
    [
        ({"mode": "sequential", "num_envs": 8}, "8 sequential"),
        ({"mode": "workers", "num_envs": 8, "num_workers": 2}, "8 in 2 workers"),
        ({}, "–"),
    ],
)
def test_where_the_environments_are_stands_in_the_table(parallel: dict[str, Any], text: str) -> None:
    [figures] = compare_runs([make_run("a", parallel=parallel)]).figures
    assert figures.environments == text


def test_without_a_measurement_all_speeds_are_overall() -> None:
    found = compare_runs([make_run("measured"), make_run("old", is_measured=False, fps=300.0)])

    assert found.is_fps_overall
    assert [figures.fps for figures in found.figures] == [100.0, 300.0]
    assert found.figures[1].memory_peak_bytes is None
    rows = dict(format_rows(found))
    assert rows["peak memory"] == ("300 MB", "–")
    assert rows["steps/s, overall"] == ("100", "300")
    assert any("not every run has a benchmark_metrics.json" in note for note in list_notes(found))


def test_figures_that_are_unknown_for_all_runs_are_left_out() -> None:
    runs = [make_run("a", steps=5, is_measured=False), make_run("b", steps=5, is_measured=False)]
    rows = dict(format_rows(compare_runs(runs)))
    assert "peak memory" not in rows
    assert "return at 5 steps" not in rows  # no episode has ended by then
    assert rows["episodes"] == ("0", "0")


def test_rows() -> None:
    rows = dict(format_rows(compare_runs([make_run("a"), make_run("b", fps=400.0, steps=400_000)])))
    # As `runs list` and the summary of training say it; the start of each took five seconds.
    assert rows["duration"] == ("15s", "16m 45s")
    assert rows["  training"] == ("10s", "16m 40s")
    assert rows["steps"] == ("1,000", "400,000")
    assert rows["  p10 – p90"] == ("100 – 300", "400 – 1,200")
    assert rows["speed-up"] == ("1.00×", "4.00×")
    assert rows["iteration"] == ("0.0125 s", "0.0125 s")
    assert rows["collecting"] == ("25%", "25%")
    assert "return at 10s" in rows


def test_equal_runs_have_no_differences() -> None:
    assert find_differences([make_run("a"), make_run("b")]) == []


@pytest.mark.parametrize(
    ("change", "key", "values"),
    [
        ({"seed": 2}, "seed", ("1", "2")),
        ({"env": {"id": "Other-v0", "params": {}}}, "env.id", ("CartPole-v1", "Other-v0")),
        ({"env": {"id": "CartPole-v1", "params": {"gravity": 5}}}, "env.params.gravity", ("–", "5")),
        ({"parallel": {"mode": "subproc", "num_envs": 16}}, "parallel.num_envs", ("8", "16")),
        (
            {"agent": {"id": "ppo", "policy": "MlpPolicy", "params": {"gamma": 0.9, "n_steps": 32}}},
            "agent.params.gamma",
            ("0.99", "0.9"),
        ),
        # Parameters that only the other algorithm has are no news then.
        (
            {"agent": {"id": "dqn", "policy": "MlpPolicy", "params": {"gamma": 0.99, "tau": 1.0}}},
            "agent.id",
            ("ppo", "dqn"),
        ),
    ],
)
def test_a_difference_is_named_with_its_values(change: dict[str, Any], key: str, values: tuple[str, ...]) -> None:
    [difference] = find_differences([make_run("a"), make_run("b", **change)])
    assert (difference.key, difference.values) == (key, values)
    assert difference.meaning


def test_how_long_they_trained_and_where_the_environments_are_is_what_one_compares() -> None:
    longer = make_run(
        "b",
        parallel={"mode": "subproc", "num_envs": 8},
        train={"total_steps": 9, "deterministic": False},
    )
    assert find_differences([make_run("a"), longer]) == []


def test_a_difference_at_the_end_of_a_long_value_is_found_and_shown() -> None:
    long = {"net_arch": [256, 256, 256, 256], "activation_fn": "ReLU", "ortho_init": True}
    runs = [
        make_run(
            name, agent={"id": "ppo", "policy": "MlpPolicy", "params": {"policy_kwargs": {**long, "log_std_init": std}}}
        )
        for name, std in (("a", 0.0), ("b", -2.0))
    ]
    [difference] = find_differences(runs)
    assert difference.key == "agent.params.policy_kwargs"
    assert [value[-6:] for value in difference.values] == [": 0.0}", " -2.0}"]
    assert max(map(len, difference.values)) <= 40


def test_another_machine_is_a_difference() -> None:
    other = make_run("b")
    machine = {**other.benchmark["machine"], "cpu_model": "6502"}
    other = dataclasses.replace(
        other,
        record=dataclasses.replace(other.record, host="there"),
        meta={"cpu_count": 64, "torch_version": "2.8"},
        benchmark={**other.benchmark, "machine": machine},
    )
    found = {difference.key: difference.values for difference in find_differences([make_run("a"), other])}
    assert found == {"host": ("here", "there"), "cores": ("2", "64"), "processor": ("Z80", "6502")}


def test_an_unknown_machine_does_not_count_as_different() -> None:
    old = make_run("old", is_measured=False)
    old = dataclasses.replace(old, meta={})
    assert find_differences([make_run("a"), old]) == []


@pytest.mark.parametrize(
    ("first", "second", "is_found"),
    [
        ([("here", 0, 60)], [("here", 30, 90)], True),
        ([("here", 0, 60)], [("here", 58, 600)], False),  # less than a tenth
        ([("here", 0, 60)], [("there", 0, 60)], False),
        ([("here", 0, 60)], [], False),
        # Resumed later: it had ended before the other one began, and began again after its end.
        ([("here", 0, 60), ("here", 200, 260)], [("here", 100, 160)], False),
        ([("here", 0, 60), ("here", 200, 260)], [("here", 100, 160), ("here", 190, 250)], True),
        ([("here", 0, 60), ("there", 100, 160)], [("here", 100, 160)], False),  # resumed on another machine
    ],
)
def test_runs_at_the_same_time_may_have_slowed_each_other(
    first: list[tuple[str, float, float]], second: list[tuple[str, float, float]], is_found: bool
) -> None:
    runs = [
        make_run(name, stretches=[Stretch(*each) for each in stretches])
        for name, stretches in (("a", first), ("b", second))
    ]
    found = [(difference.key, difference.values) for difference in find_differences(runs)]
    assert found == ([("time", ("a", "b"))] if is_found else [])


def test_the_report() -> None:
    stretches = [Stretch("here", 0, 60)]
    runs = [make_run("a|1", stretches=stretches), make_run("b", stretches=stretches, seed=2)]
    report = format_markdown(compare_runs(runs), find_differences(runs), "c.png")
    lines = report.splitlines()
    assert lines[:4] == ["# a|1 / b", "", r"|  | a\|1 | b |", "| --- | ---: | ---: |"]
    assert "| speed-up | 1.00× | 1.00× |" in lines
    assert "![returns, speed and memory](c.png)" in lines
    assert any(line.startswith("| seed | 1 | 2 | ") for line in lines)
    assert "- time: a|1 / b: they ran at the same time on one machine and may have slowed each other" in lines


def test_the_picture(monkeypatch: pytest.MonkeyPatch) -> None:
    saved: list[Figure] = []
    monkeypatch.setattr(comparison_figure, "save_figure", lambda figure, path: saved.append(figure))
    runs = [make_run("first"), make_run("a-name-that-is-far-too-long-for-a-bar-chart-of-runs", fps=250.0)]
    plot_comparison(runs, compare_runs(runs), Path("x.png"))

    [figure] = saved
    steps, time, speed, memory = figure.axes
    assert (steps.get_xlabel(), time.get_xlabel()) == ("steps", "time (seconds)")
    assert [bar.get_width() for bar in speed.patches] == [200.0, 500.0]
    assert [text.get_text() for text in speed.get_yticklabels()] == ["first", "a-name-that-is…chart-of-runs"]
    assert [text.get_text() for text in figure.legends[0].get_texts()] == [run.name for run in runs]
    assert [text.get_text() for text in speed.texts] == ["200", "500"]
    assert [text.get_text() for text in memory.texts] == ["0.30", "0.30"]
    assert len({bar.get_facecolor() for bar in speed.patches}) == 2
    assert steps.lines[0].get_color() != steps.lines[1].get_color()


def test_the_picture_without_measurements(tmp_path: Path) -> None:
    runs = [make_run("a", is_measured=False, steps=5), make_run("b", is_measured=False)]
    plot_comparison(runs, compare_runs(runs), tmp_path / "c.png")
    assert imread(tmp_path / "c.png").shape[1] == 1400
