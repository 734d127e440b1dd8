"""Record updates on a CPU, and repeat their operations as a CUDA graph does."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from parity import make_update, read_state, restoring
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from sb3_ext.engines.torch_updates import minibatch_graph

Change = Callable[[Any, int], None]
WAITING = {"aten::_local_scalar_dense", "aten::nonzero", "aten::masked_select", "aten::equal"}


class Tape(TorchDispatchMode):
    """
    Repeats operations as a CUDA graph does: in the same memory, with the same Python numbers, without Python between.
    """

    def __init__(self) -> None:
        super().__init__()
        self._calls: list[tuple[Any, Any, Any, Any]] = []
        self.replays = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func._schema.name in WAITING:
            raise RuntimeError(f"{func._schema.name} waits for the device")
        result = func(*args, **(kwargs or {}))
        self._calls.append((func, args, kwargs or {}, result))
        return result

    def replay(self) -> None:
        self.replays += 1
        for func, args, kwargs, recorded in self._calls:
            for old, new in zip(tree_leaves(recorded), tree_leaves(func(*args, **kwargs)), strict=True):
                if isinstance(old, torch.Tensor) and old.data_ptr() != new.data_ptr():
                    old.copy_(new)


def record_on_cpu(monkeypatch: pytest.MonkeyPatch) -> list[Tape]:
    """:return: receives the recordings of updates"""
    made: list[Tape] = []

    def record(function: Callable[[], None], device: torch.device) -> Callable[[], None]:
        function()  # warms up, which changes the weights
        made.append(Tape())
        with made[-1]:
            function()
        return made[-1].replay

    monkeypatch.setitem(minibatch_graph.RECORDERS, "cpu", record)
    return made


def run_updates(model: Any, arguments: tuple[int, ...], change: Change | None = None) -> Any:
    """:return: the state of the model after three updates, and what they log; the model is as before"""
    update = make_update(model, "torch")
    logged = []
    with restoring(model):
        np.random.seed(1)
        torch.manual_seed(1)
        for place in range(3):
            model._current_progress_remaining = 1 - place / 4
            update(*arguments)
            logged.append(dict(model.logger.name_to_value))
            if change is not None:
                change(model, place)
        return {name: values.copy() for name, values in read_state(model).items()}, logged


def check_replays(model: Any, *arguments: int, change: Change | None = None) -> None:
    """Check that replays leave the same bits as the updates without a graph, and log the same."""
    recorder = minibatch_graph.RECORDERS.pop("cpu")
    expected, expected_logs = run_updates(model, arguments, change)
    minibatch_graph.RECORDERS["cpu"] = recorder
    found, logs = run_updates(model, arguments, change)
    assert found.keys() == expected.keys()
    assert [name for name in expected if not np.array_equal(found[name], expected[name])] == []
    np.testing.assert_equal(logs, expected_logs)
