"""``zoo_scripts/benchmark_learning_curves.py`` averages returns over parts of a training and compares engines."""

from __future__ import annotations

import importlib
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest

SCRIPTS = Path(__file__).parents[2] / "zoo_scripts"


@pytest.fixture
def script(monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.syspath_prepend(SCRIPTS)
    return importlib.import_module("benchmark_learning_curves")


def test_returns_are_averaged_over_parts_and_repeated_where_no_episode_ends(script: Any) -> None:
    curve = script.average(np.array([10, 20, 90, 1000, 1010]), np.array([1.0, 3.0, 5.0, 7.0, 9.0]), 1000)
    assert curve[0] == 2.0
    assert curve[1] == 5.0
    assert (curve[2:19] == 5.0).all()
    assert curve[19] == 8.0
    assert math.isnan(script.average(np.array([400]), np.array([1.0]), 1000)[0])


def test_engines_are_compared_in_standard_errors_of_the_difference(script: Any, tmp_path: Path) -> None:
    stock, other = (np.tile(np.array(ends)[:, None], (1, 20)) for ends in ([1.0, 3.0], [4.0, 6.0]))
    figures = script.describe({"stock": stock, "xla": other})
    assert figures["stock"] == {"seeds": 2, "mean": 2.0, "spread": pytest.approx(math.sqrt(2)), "distance": None}
    assert figures["xla"]["distance"] == pytest.approx(3 / math.sqrt(2))
    script.draw({"cartpole": {"stock": stock, "xla": other}}, tmp_path / "curves.png")
    assert (tmp_path / "curves.png").stat().st_size > 1000
