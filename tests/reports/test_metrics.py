from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from sb3_ext.reports.metrics_file import MetricsHistory, write_metrics


def make_history(returns: list[float | None]) -> MetricsHistory:
    history = MetricsHistory()
    for index, episode_return in enumerate(returns):
        history.add_episode(10 * index, episode_return, None if episode_return is None else 10, 0.5 * index)
    return history


def test_keeps_episodes_in_columns() -> None:
    assert make_history([1.5, None]).to_dict()["episodes"] == {
        "step": [0, 10],
        "return": [1.5, None],
        "length": [10, None],
        "elapsed_seconds": [0, 0.5],
    }


def test_fills_up_values_that_are_not_always_there() -> None:
    history = MetricsHistory()
    history.add_training(10, 1.0, {"train/loss": 0.5})
    history.add_training(20, 2.0, {"train/td_error": 0.25})
    history.add_training(30, 3.0, {"train/loss": 1.5, "train/td_error": 2})
    assert history.to_dict()["training"] == {
        "step": [10, 20, 30],
        "elapsed_seconds": [1, 2, 3],
        "train/loss": [0.5, None, 1.5],
        "train/td_error": [None, 0.25, 2],
    }


@pytest.mark.parametrize(
    ("value", "kept"),
    [
        (3, 3),
        (0.5, 0.5),
        (True, 1),
        (np.float32(0.5), 0.5),
        (np.int64(7), 7),
        (np.array(0.5), 0.5),
        (torch.tensor(0.5), 0.5),
        (torch.tensor(0.5, requires_grad=True), 0.5),
        (math.nan, None),
        (math.inf, None),
    ],
)
def test_keeps_single_numbers(value: Any, kept: float | None) -> None:
    history = MetricsHistory()
    history.add_training(1, 0.0, {"value": value})
    assert history.to_dict()["training"]["value"] == [kept]


@pytest.mark.parametrize("value", ["text", np.str_("text"), np.zeros(2), torch.zeros(2), object(), None])
def test_values_that_are_not_single_numbers_are_left_out(value: Any) -> None:
    history = MetricsHistory()
    history.add_training(1, 0.0, {"value": value})
    assert "value" not in history.to_dict()["training"]


@pytest.mark.parametrize(
    ("returns", "mean", "best"),
    [
        ([], None, None),
        ([None], None, None),
        ([2.0], 2.0, 2.0),
        ([1.0, None, 4.0], 2.5, 2.5),
        ([5.0] * 100 + [1.0] * 100, 1.0, 5.0),
        ([0.0] * 50 + [10.0] * 100 + [0.0] * 50, 5.0, 10.0),
        ([100.0] + [0.0] * 99, 1.0, 1.0),
        ([-9.0] * 100 + [-4.0] * 100, -4.0, -4.0),
    ],
)
def test_sums_up_returns(returns: list[float | None], mean: float | None, best: float | None) -> None:
    summary = make_history(returns).summarize()
    assert summary["episode"] == len(returns)
    assert summary["episode_return_mean"] == mean
    assert summary["best_episode_return_mean"] == best


def test_comes_back_from_what_it_gave() -> None:
    history = make_history([1.5, None, 3.0])
    history.add_training(10, 1.0, {"train/loss": math.nan})
    copy = MetricsHistory()
    copy.load_state_dict(history.state_dict())
    copy.add_training(20, 2.0, {"train/loss": 1.0})
    history.add_training(20, 2.0, {"train/loss": 1.0})
    assert copy.to_dict() == history.to_dict()
    assert copy.summarize() == history.summarize()


def test_writes_strict_json_with_further_sections(tmp_path: Path) -> None:
    def refuse(constant: str) -> Any:
        raise AssertionError(constant)

    path = tmp_path / "metrics.json"
    sections = {
        "summary": {"fps": math.inf},
        "final_evaluation": {"returns": [1.0, math.nan], "std": np.float64("nan")},
    }
    write_metrics(path, make_history([math.inf]), sections)
    content = json.loads(path.read_text(), parse_constant=refuse)
    assert list(content) == ["summary", "final_evaluation", "episodes", "training"]
    assert content["summary"] == {"fps": None}
    assert content["final_evaluation"] == {"returns": [1.0, None], "std": None}
    assert content["episodes"]["return"] == [None]


def test_is_compact() -> None:
    history = make_history([1.0] * 1000)
    assert sum(column.itemsize * len(column) for column in history._episodes.values()) == 4 * 8 * 1000
