"""``zoo_scripts/benchmark_updates.py`` times updates of engines and the matrix products in them."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

SCRIPTS = Path(__file__).parents[2] / "zoo_scripts"


@pytest.fixture
def script(monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.syspath_prepend(SCRIPTS)
    return importlib.import_module("benchmark_updates")


def test_products_are_those_of_each_layer_and_pass(script: Any) -> None:
    network = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 3))
    shapes = {
        kind: [tuple(product().shape) for product in script.list_products(network, 5, kind)]
        for kind in (script.FORWARD, script.BOTH, script.INPUT)
    }
    assert shapes[script.FORWARD] == [(5, 8), (5, 3)]
    assert shapes[script.BOTH] == [(5, 8), (8, 4), (5, 3), (3, 8), (5, 8)]  # no gradient of the observations
    assert shapes[script.INPUT] == [(5, 8), (5, 4), (5, 3), (5, 8)]


def test_each_engine_is_measured(script: Any) -> None:
    threads = torch.get_num_threads()
    task = next(task for name, task in script.TASKS.items() if name.startswith("DQN") and len(task.arguments) == 2)
    found = script.measure(task, repeats=1)
    assert found.keys() == {"stock", "torch", "xla", script.FLOOR}
    assert all(len(seconds) == 1 and 0 < seconds[0] < 1 for seconds in found.values())
    assert torch.get_num_threads() == threads
