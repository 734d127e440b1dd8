"""Callbacks wherever they are nested, and told apart wherever they stand."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from stable_baselines3.common.callbacks import BaseCallback, CallbackList, EveryNTimesteps

from sb3_ext.callbacks import EvaluationCallback, TimeBudgetCallback
from sb3_ext.checkpoints.state.callback_state import capture_callbacks, restore_callbacks
from sb3_ext.checkpoints.state.callback_tree import find_key, list_callbacks, match_names
from sb3_ext.checkpoints.state.captured_state import CapturedState


class Count(BaseCallback):
    """Counts something, of which ``name`` and ``every`` say what."""

    def __init__(self, name: str, every: int = 1, folder: Path | None = None, count: int = 0) -> None:
        super().__init__()
        self.name = name
        self._every = every
        self._folder = folder
        self.seen = count

    def state(self) -> dict[str, Any]:
        return {"seen": self.seen}

    def restore(self, state: dict[str, Any]) -> None:
        self.seen = state["seen"]

    def _on_step(self) -> bool:
        return True


class NamedCount(Count):
    @property
    def state_key(self) -> str:
        return self.name


def capture(*callbacks: BaseCallback) -> CapturedState:
    state = CapturedState()
    capture_callbacks(callbacks, state)
    return state


def restore(state: CapturedState, *callbacks: Count) -> list[int]:
    restore_callbacks(callbacks, state)
    return [callback.seen for callback in callbacks]


def test_callbacks_are_found_in_lists_and_in_other_callbacks() -> None:
    inner, lone = Count("inner"), Count("lone")
    every = EveryNTimesteps(10, CallbackList([inner]))
    outer = CallbackList([every, CallbackList([lone])])
    found = list_callbacks([outer, lone])
    assert [callback for callback in found if not isinstance(callback, CallbackList)] == [every, inner, lone]


def test_two_of_a_class_that_change_places_keep_their_states() -> None:
    state = capture(Count("a", count=1), Count("b", count=2))
    assert restore(state, Count("b"), Count("a")) == [2, 1]


@pytest.mark.parametrize(
    ("present", "seen"),
    [
        ([("a", 1), ("b", 2)], [1, 2]),
        ([("c", 1), ("b", 2), ("a", 1)], [0, 2, 1]),  # one is new
        ([("b", 2)], [2]),  # one is gone
        ([("a", 1), ("b", 3)], [1, 2]),  # an argument has changed: the order decides
    ],
)
def test_callbacks_are_found_by_their_arguments(present: list[tuple[str, int]], seen: list[int]) -> None:
    state = capture(Count("a", 1, count=1), Count("b", 2, count=2))
    assert restore(state, *(Count(name, every) for name, every in present)) == seen


def test_equal_ones_are_found_by_their_order() -> None:
    state = capture(Count("a", count=1), Count("a", count=2))
    assert restore(state, Count("a"), Count("a"), Count("a")) == [1, 2, 0]


def test_a_state_key_decides_whatever_the_arguments() -> None:
    state = capture(NamedCount("a", 1, count=1), NamedCount("b", 2, count=2))
    assert restore(state, NamedCount("c", 1), NamedCount("b", 7), NamedCount("a", 8)) == [0, 2, 1]


def test_a_checkpoint_without_keys_is_restored_by_order() -> None:
    state = capture(Count("a", count=1), Count("b", count=2))
    del state.values["callback_keys"]
    assert restore(state, Count("x"), Count("y"), Count("z")) == [1, 2, 0]


def test_arguments_that_training_changes_do_not_mislead() -> None:
    first, second = Count("1", count=1), Count("2", count=2)
    first.name, second.name = "2", "3"  # what was the second's is the first's now
    assert restore(capture(first, second), Count("1"), Count("2")) == [1, 2]


@pytest.mark.parametrize(
    ("callback", "key"),
    [
        (Count("a", 3, Path("x")), "(every=3, folder='x', name='a', verbose=0)"),
        (NamedCount("mine"), "=mine"),
        (TimeBudgetCallback(5.0), "(at_boundary=False, seconds=5.0, verbose=0)"),
    ],
)
def test_keys(callback: BaseCallback, key: str) -> None:
    assert find_key(callback) == key


def test_a_key_leaves_out_what_is_not_plain() -> None:
    key = find_key(EvaluationCallback(lambda: None, every_steps=7, path="e.jsonl"))  # type: ignore[arg-type, return-value]
    assert "path='e.jsonl'" in key
    assert "lambda" not in key


def test_names_of_different_classes_do_not_mix() -> None:
    assert match_names({"A/1": "(x=1)", "B/1": "(x=2)"}, {"A/1": "(x=2)", "B/1": "(x=1)"}) == {
        "A/1": "A/1",
        "B/1": "B/1",
    }
