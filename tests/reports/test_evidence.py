"""Statistics over seeds have the values of rliable; the words say what follows from them, and what does not."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from matplotlib.figure import Figure

from sb3_ext.reports import comparison_figure
from sb3_ext.reports.comparison import ComparedRun, compare_runs
from sb3_ext.reports.comparison_figure import plot_comparison
from sb3_ext.reports.comparison_table import format_markdown, list_conclusions
from sb3_ext.reports.evidence import (
    bootstrap_interval95,
    bootstrap_iqm_band,
    compute_chance_of_separation,
    compute_improvement_probability,
    compute_iqm,
    compute_overall_iqm,
    compute_profile,
)
from sb3_ext.reports.seed_groups import Evidence, find_evidence
from sb3_ext.runs.status import RunStatus

# Six and five runs (rows) on three tasks (columns).
X = np.array([[10, 50, 90], [30, 40, 70], [20, 60, 80], [40, 50, 100], [35, 45, 60], [15, 55, 95]]) / 100
Y = np.array([[30, 50, 90], [50, 70, 100], [60, 60, 110], [45, 65, 70], [25, 90, 120]]) / 100
ONE_TASK = np.array([12.0, 30.0, 25.0, 8.0, 19.0, 40.0, 22.0])
CLOSE = 0.02
"""Bootstrap ends differ by so much from one generator to the other."""


def test_values_are_those_of_rliable() -> None:
    """Computed with rliable 1.2.0: ``metrics``, and ``library`` with 20,000 repetitions."""
    x, y = list(X.T), list(Y.T)
    assert compute_overall_iqm(x) == pytest.approx(0.505)
    assert compute_overall_iqm(y) == pytest.approx(0.6722222222)
    assert compute_overall_iqm([ONE_TASK]) == pytest.approx(21.6)
    assert compute_improvement_probability(x, y) == pytest.approx(0.8166666667)
    thresholds = np.array([0.2, 0.5, 0.8])
    np.testing.assert_allclose(compute_profile(x, thresholds), [0.8333333333, 0.4444444444, 0.1666666667])
    np.testing.assert_allclose(compute_profile(y, thresholds), [1.0, 0.6666666667, 0.3333333333])

    np.testing.assert_allclose(bootstrap_interval95(compute_overall_iqm, x), [0.465, 0.555], atol=CLOSE)
    np.testing.assert_allclose(bootstrap_interval95(compute_overall_iqm, y), [0.59444, 0.76111], atol=CLOSE)
    np.testing.assert_allclose(bootstrap_interval95(compute_overall_iqm, [ONE_TASK]), [13.8, 30.8], atol=40 * CLOSE)
    improvement = bootstrap_interval95(compute_improvement_probability, x, y)
    np.testing.assert_allclose(improvement, [0.65555556, 0.94444444], atol=CLOSE)
    band = bootstrap_interval95(lambda scores: compute_profile(scores, thresholds), x)
    np.testing.assert_allclose(band, [[0.7222, 0.3333, 0.0556], [0.9444, 0.5556, 0.2778]], atol=0.06)


def test_the_interquartile_mean_leaves_out_a_quarter_at_each_end() -> None:
    assert compute_iqm(np.array([1000.0, 1, 2, -1000])) == 1.5
    assert compute_iqm(np.array([9.0, 0, 3])) == 4.0
    np.testing.assert_array_equal(compute_iqm(np.array([[0.0, 5], [1, 6], [2, 7], [99, -99]]), axis=0), [1.5, 5.5])


def test_the_band_of_curves_is_the_interval_of_each_point() -> None:
    curves = np.stack([ONE_TASK, 2 * ONE_TASK], axis=1)
    band = bootstrap_iqm_band(curves)
    np.testing.assert_allclose(band[:, 0], [13.8, 30.8], atol=1.2)
    np.testing.assert_allclose(band[:, 1], 2 * band[:, 0])


def test_a_bootstrap_always_gives_the_same() -> None:
    first = bootstrap_interval95(compute_overall_iqm, [ONE_TASK])
    np.testing.assert_array_equal(first, bootstrap_interval95(compute_overall_iqm, [ONE_TASK]))


@pytest.mark.parametrize(("counts", "chance"), [((1, 1), 1.0), ((3, 3), 0.1), ((4, 4), 2 / 70), ((5, 5), 2 / 252)])
def test_few_runs_are_separated_by_chance(counts: tuple[int, int], chance: float) -> None:
    assert compute_chance_of_separation(*counts) == pytest.approx(chance)


def make_run(name: str, seed: int, score: float, env_id: str = "CartPole-v1", gamma: float = 0.99) -> ComparedRun:
    config: dict[str, Any] = {
        "seed": seed, "env": {"id": env_id}, "agent": {"id": "ppo", "params": {"gamma": gamma}}, "parallel": {},
    }  # fmt: skip
    metrics = {
        "summary": {"step": 100, "elapsed_seconds": 1.0, "fps": 100.0, "episode": 1},
        "episodes": {"step": [90], "return": [-1.0], "length": [9], "elapsed_seconds": [0.9]},
        "training": {},
    }
    evaluations = [{"step": step, "mean_return": score * step / 100} for step in (50, 100, 150)]
    return ComparedRun(name, RunStatus("completed", step=100), config, {}, metrics, {}, evaluations)


def make_runs(name: str, scores: list[float], **settings: Any) -> list[ComparedRun]:
    return [make_run(f"{name}/seed_{seed}", seed, score, **settings) for seed, score in enumerate(scores)]


def find(*groups: list[ComparedRun]) -> Evidence:
    runs = [run for group in groups for run in group]
    found = find_evidence(runs, compare_runs(runs).common_steps)
    assert found is not None
    return found


def test_a_clear_difference_is_a_conclusion() -> None:
    low = make_runs("low", [10, 12, 11, 13, 9, 14])
    high = make_runs("high", [30, 25, 28, 33, 26, 31], gamma=0.9)
    evidence = find(low, high)
    assert evidence.measure == "mean return of the last evaluation up to 100 steps"
    first, second = evidence.groups
    assert (first.name, first.seeds, first.iqm, first.lowest, first.highest) == ("low", 6, 11.5, 9.0, 14.0)
    assert first.interval is not None
    assert 9 <= first.interval[0] < 11.5 < first.interval[1] <= 14
    [pair] = evidence.pairs
    assert pair.probability == 1.0
    assert pair.difference == second.iqm - 11.5
    assert pair.conclusion.startswith(
        "high is better than low: a run of high is better than one of low with probability"
    )
    assert find(high, low).pairs[0].conclusion.startswith("low is worse than high")
    assert "Bootstrap intervals of fewer than 10 seeds are too narrow: low (6), high (6)." in evidence.remarks
    assert "All scores are of one task; on another one the order may be different." in evidence.remarks


def test_overlapping_intervals_are_no_conclusion_and_no_equality() -> None:
    evidence = find(make_runs("a", [10, 20, 30, 40, 50]), make_runs("b", [12, 22, 28, 44, 49], gamma=0.9))
    [pair] = evidence.pairs
    assert pair.probability_interval is not None
    assert pair.probability_interval[0] < 0.5 < pair.probability_interval[1]
    assert pair.conclusion.startswith("No conclusion about b and a: ")
    assert "they do not show that the two are equal" in pair.conclusion


def test_too_few_seeds_are_no_conclusion_however_large_the_difference() -> None:
    evidence = find(make_runs("a", [1, 2, 3]), make_runs("b", [100, 101, 102], gamma=0.9))
    assert evidence.pairs[0].conclusion == (
        "No conclusion about b and a: 3 and 3 runs are too few. Even if all runs of one were better than all of the "
        "other, chance alone would do that in 10% of such comparisons; 4 seeds of each are the fewest that can show a "
        "difference."
    )


def test_several_comparisons_with_the_first_are_remarked() -> None:
    scores = [1.0, 2, 3, 4]
    groups = [make_runs(name, scores, gamma=gamma) for name, gamma in (("a", 0.9), ("b", 0.8), ("c", 0.7))]
    evidence = find(*groups)
    assert [(pair.first, pair.second) for pair in evidence.pairs] == [("a", "b"), ("a", "c")]
    assert any(remark.startswith("With 2 comparisons") for remark in evidence.remarks)


def test_tasks_that_all_groups_have_are_taken_together_on_one_scale() -> None:
    runs = [
        *make_runs("a/cart", [0, 100]), *make_runs("a/pend", [-1000, -500], env_id="Pendulum-v1"),
        *make_runs("b/cart", [200, 100], gamma=0.9), *make_runs("b/pend", [-500, 0], env_id="Pendulum-v1", gamma=0.9),
    ]  # fmt: skip
    evidence = find(runs)
    assert evidence.measure.endswith("scaled to 0 … 1 on each of 2 tasks")
    a, b = evidence.groups
    assert (a.name, a.mean, b.name, b.mean) == ("a", 0.25, "b", 0.75)
    assert evidence.pairs[0].probability == 0.875  # of four pairs on each task, one is a tie


def test_without_evaluations_training_returns_are_the_scores() -> None:
    runs = make_runs("a", [1, 2])
    without = ComparedRun("a/seed_9", runs[0].record, {**runs[0].config, "seed": 9}, {}, runs[0].metrics, {})
    evidence = find([*runs, without])
    assert evidence.measure == "mean return of the last 100 training episodes up to 100 steps"
    assert evidence.groups[0].iqm == -1.0


def test_single_runs_have_no_evidence() -> None:
    runs = [*make_runs("a", [1]), *make_runs("b", [2], gamma=0.9)]
    assert find_evidence(runs, 100) is None


def test_report_and_picture_have_the_groups(monkeypatch: pytest.MonkeyPatch) -> None:
    runs = [*make_runs("a", [1, 2, 3, 4]), *make_runs("b", [2, 3, 4, 5], gamma=0.9)]
    comparison, evidence = compare_runs(runs), find(runs)
    report = format_markdown(comparison, [], "c.png", evidence)
    assert "| a | 4 | 2.5 | " in report
    for paragraph in list_conclusions(evidence):
        assert f"- {paragraph}" in report
    figures: list[Figure] = []
    monkeypatch.setattr(comparison_figure, "save_figure", lambda figure, path: figures.append(figure))
    plot_comparison(runs, comparison, Path("c.png"), evidence)
    titles = [axes.get_title(loc="left") or axes.get_title() for axes in figures[0].axes]
    assert titles[-2:] == ["Interquartile mean, with 95 % interval", "Performance profile: share of runs above a score"]
    profile = figures[0].axes[-1].lines[0]
    assert (profile.get_ydata()[0], profile.get_ydata()[-1]) == (0.75, 0.0)
