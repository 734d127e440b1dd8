"""What ``benchmark_metrics.json`` says about speed."""

from __future__ import annotations

import json
import math
from pathlib import Path

import pytest

from sb3_ext.reports.benchmark_file import SpeedHistory, summarize_speed, write_benchmark


def make_history(*stretches: tuple[int, float]) -> SpeedHistory:
    history = SpeedHistory()
    for steps, seconds in stretches:
        history.add(steps, seconds)
    return history


def test_percentiles_are_of_time() -> None:
    # One slow second, ten fast ones in a single stretch, then one in between.
    history = make_history((100, 1.0), (10_000, 10.0), (500, 1.0))
    assert history.find_fps(5) == 100
    assert history.find_fps(15) == 500
    assert history.find_fps(50) == 1000
    assert history.find_fps(90) == 1000


def test_without_stretches_there_are_none() -> None:
    history = make_history((100, 0.0))
    assert len(history) == 0
    assert history.find_fps(10) is None


def test_stretches_survive_a_resume() -> None:
    history = SpeedHistory()
    history.load_state_dict(make_history((100, 1.0)).state_dict())
    history.add(300, 1.0)
    assert (history.find_fps(0), history.find_fps(100)) == (100, 300)


def test_evaluating_and_saving_slow_down_only_the_whole() -> None:
    found = summarize_speed(
        make_history((400, 2.0)),
        steps=400,
        iterations=4,
        duration_seconds=10.0,
        phase_seconds={"starting": 9.0, "collecting": 0.5, "updating": 1.5, "evaluating": 6.0, "saving": 1.0},
    )
    assert found["fps"] == {"mean": 200.0, "p10": 200.0, "p90": 200.0, "overall": 40.0}
    assert found["iteration_seconds"] == 0.5
    assert found["shares"] == pytest.approx(
        {"collecting": 0.05, "updating": 0.15, "evaluating": 0.6, "saving": 0.1, "other": 0.1}
    )


def test_a_training_without_a_step(tmp_path: Path) -> None:
    found = summarize_speed(SpeedHistory(), steps=0, iterations=0, duration_seconds=0.0, phase_seconds={})
    assert found["fps"] == {"mean": None, "p10": None, "p90": None, "overall": None}
    assert found["iteration_seconds"] is None


def test_the_file_is_strict_json(tmp_path: Path) -> None:
    write_benchmark(tmp_path / "b.json", {"steps": 1, "fps": {"mean": math.inf}})
    assert json.loads((tmp_path / "b.json").read_text()) == {"steps": 1, "fps": {"mean": None}}
