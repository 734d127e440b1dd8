"""Checkpoints of earlier formats have the state of each callback where today's callbacks find it."""

from __future__ import annotations

import dataclasses
import json
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from stable_baselines3 import PPO
from stable_baselines3.common.callbacks import BaseCallback, EveryNTimesteps

from sb3_ext.callbacks import EpisodeBudgetCallback, MetricsCallback
from sb3_ext.checkpoints.bundle.bundle import open_bundle, record_score, write_bundle
from sb3_ext.checkpoints.bundle.content import capture_content
from sb3_ext.checkpoints.bundle.manifest import FORMAT, Score
from sb3_ext.checkpoints.bundle.migration import migrate_state
from sb3_ext.checkpoints.state.callback_state import restore_callbacks
from sb3_ext.checkpoints.state.captured_state import CapturedState

METRICS = {"episodes": 2, "elapsed_seconds": 5.0, "first_step": 0, "sections": {"a": 1}}
HISTORY = {
    **{f"episodes/{name}": np.arange(2.0) for name in ("step", "return", "length", "elapsed_seconds")},
    **{f"training/{name}": np.arange(3.0) for name in ("step", "elapsed_seconds", "train/loss")},
}


class Own(BaseCallback):
    """A callback of a user's own, whose class has kept its name."""

    def __init__(self, name: str) -> None:
        super().__init__()
        self.name = name
        self.seen: Any = None

    def state_dict(self) -> dict[str, Any]:
        return {"seen": self.seen}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.seen = state["seen"]

    def _on_step(self) -> bool:
        return True


class KeyedOwn(Own):
    @property
    def state_key(self) -> str:
        return self.name


@pytest.fixture
def captured() -> CapturedState:
    """What commit 76ec016 captured of callbacks."""
    own: dict[str, Any] = {
        "MetricsCallback/1": METRICS,
        "Own/1": {"seen": "a"},
        "Own/2": {"seen": "b"},
        "KeyedOwn/1": {"seen": "c"},
        "EpisodeBudgetCallback/1": {"episodes": 7},
    }
    keys = {
        "MetricsCallback/1": "(path=None, verbose=0)",
        "Own/1": "(name='a', verbose=0)",
        "Own/2": "(name='b', verbose=0)",
        "KeyedOwn/1": "=c",
        "EveryNTimesteps/1": "(n_steps=10)",
        "EpisodeBudgetCallback/1": "(at_boundary=False, verbose=0)",
    }
    stock = {name: {"n_calls": index} for index, name in enumerate(keys)}
    stock["EveryNTimesteps/1"]["last_time_trigger"] = 70
    return CapturedState(
        arrays={f"callbacks/MetricsCallback/1/{name}": column for name, column in HISTORY.items()},
        values={"callbacks": own, "callback_keys": keys, "algorithm": {}},
        blobs={"callbacks": pickle.dumps(stock)},
    )


def restore(state: CapturedState) -> tuple[MetricsCallback, list[Any], EveryNTimesteps, EpisodeBudgetCallback]:
    metrics, owns, budget = (
        MetricsCallback(),
        [Own("b"), Own("a"), KeyedOwn("c"), KeyedOwn("d")],
        EpisodeBudgetCallback(9),
    )
    every = EveryNTimesteps(10, owns[0])
    restore_callbacks([every, *owns, metrics, budget], state)
    return metrics, owns, every, budget


def test_each_callback_gets_the_state_that_an_earlier_version_captured(captured: CapturedState) -> None:
    metrics, owns, every, budget = restore(migrate_state(captured, 1))
    assert [own.seen for own in owns] == ["b", "a", "c", None]
    assert (every.n_calls, every.last_time_trigger) == (4, 70)
    assert budget.episodes == 7
    assert (metrics.episodes, metrics.sections, metrics.n_calls) == (2, {"a": 1}, 0)
    found = metrics.history.state_dict()
    assert found.keys() == HISTORY.keys()
    assert all(np.array_equal(column, HISTORY[name]) for name, column in found.items())


def test_the_earliest_checkpoints_are_restored_by_order(captured: CapturedState) -> None:
    del captured.values["callback_keys"]
    _, owns, _, budget = restore(migrate_state(captured, 1))
    assert [own.seen for own in owns[:2]] == ["a", "b"]
    assert budget.episodes == 7


@pytest.mark.parametrize(
    ("version", "recorded", "engine_id"),
    [(1, {}, "stock"), (2, {}, "stock"), (2, {"engine": "torch"}, "stock"), (2, {"engine": "xla"}, "xla")],
)
def test_the_engine_torch_of_earlier_formats_is_called_stock(
    captured: CapturedState, version: int, recorded: dict[str, str], engine_id: str
) -> None:
    captured.values["algorithm"] = {"threads": 1, **recorded}
    assert migrate_state(captured, version).values["algorithm"] == {"threads": 1, "engine": engine_id}


def test_a_migration_leaves_the_newest_format_as_it_is(captured: CapturedState) -> None:
    assert migrate_state(captured, FORMAT) is captured


def test_a_score_is_added_to_a_checkpoint_of_an_earlier_format(
    tiny_ppo: PPO, captured: CapturedState, tmp_path: Path
) -> None:
    captured.values["environment"] = {"exact": True, "reason": "the environments were saved"}
    bundle = write_bundle(tmp_path / "step", capture_content(tiny_ppo, state=captured))
    bundle = dataclasses.replace(bundle, manifest=dataclasses.replace(bundle.manifest, format=1))
    record_score(bundle, Score(1.5, "evaluation"))
    assert json.loads((bundle.path / "manifest.json").read_text())["format"] == 1
    reopened = open_bundle(bundle.path)
    assert reopened.score == Score(1.5, "evaluation")
    _, owns, _, _ = restore(reopened.read_state())
    assert [own.seen for own in owns] == ["b", "a", "c", None]
