"""Callbacks are listed wherever they are nested, and found again in a checkpoint wherever they stand."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from stable_baselines3.common.callbacks import BaseCallback, CallbackList, EveryNTimesteps

from sb3_ext import callbacks
from sb3_ext.callbacks import EpisodeBudgetCallback, EvaluationCallback, TimeBudgetCallback
from sb3_ext.callbacks.bases.light_callback import LightCallback
from sb3_ext.checkpoints.state.callback_identity import CallbackIdentity, identify, match_callbacks
from sb3_ext.checkpoints.state.callback_state import capture_callbacks, restore_callbacks, validate_callbacks
from sb3_ext.checkpoints.state.callback_tree import list_callbacks
from sb3_ext.checkpoints.state.captured_state import CapturedState
from sb3_ext.errors import Sb3ExtError


class Count(BaseCallback):
    """Counts something, of which ``name`` and ``every`` say what."""

    def __init__(self, name: str, every: int = 1, folder: Path | None = None, count: int = 0) -> None:
        super().__init__()
        self.name = name
        self._every = every
        self._folder = folder
        self.seen = count

    def state_dict(self) -> dict[str, Any]:
        return {"seen": self.seen}

    def load_state_dict(self, state: dict[str, Any]) -> None:
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


def test_reordered_callbacks_of_a_class_keep_their_states() -> None:
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
def test_callbacks_are_matched_by_their_arguments(present: list[tuple[str, int]], seen: list[int]) -> None:
    state = capture(Count("a", 1, count=1), Count("b", 2, count=2))
    assert restore(state, *(Count(name, every) for name, every in present)) == seen


def test_equal_callbacks_are_matched_by_their_order() -> None:
    state = capture(Count("a", count=1), Count("a", count=2))
    assert restore(state, Count("a"), Count("a"), Count("a")) == [1, 2, 0]


def test_a_state_key_takes_precedence_over_arguments() -> None:
    state = capture(NamedCount("a", 1, count=1), NamedCount("b", 2, count=2))
    assert restore(state, NamedCount("c", 1), NamedCount("b", 7), NamedCount("a", 8)) == [0, 2, 1]


def test_a_renamed_class_keeps_its_state_by_its_key() -> None:
    class RenamedCount(NamedCount):
        pass

    state = capture(NamedCount("a", count=1), Count("b", count=2))
    assert restore(state, RenamedCount("b"), RenamedCount("a")) == [0, 1]


def test_a_callback_whose_key_is_new_is_matched_by_its_class() -> None:
    class Count(NamedCount):
        pass

    state = capture(*(globals()["Count"](name, count=count) for name, count in (("a", 1), ("b", 2))))
    assert restore(state, Count("b"), Count("a")) == [2, 1]


def test_arguments_that_training_changes_do_not_prevent_a_match() -> None:
    first, second = Count("1", count=1), Count("2", count=2)
    first.name, second.name = "2", "3"  # what was the second's is the first's now
    assert restore(capture(first, second), Count("1"), Count("2")) == [1, 2]


@pytest.mark.parametrize(
    ("callback", "identity"),
    [
        (Count("a", 3, Path("x")), (None, "Count", "(every=3, folder='x', name='a', verbose=0)")),
        (NamedCount("mine"), ("mine", "NamedCount", "(every=1, folder=None, name='mine', verbose=0)")),
        (TimeBudgetCallback(5.0), ("time_budget", "TimeBudgetCallback", "(at_boundary=False, seconds=5.0, verbose=0)")),
    ],
)
def test_identities_have_key_class_and_plain_arguments(
    callback: BaseCallback, identity: tuple[str | None, str, str]
) -> None:
    assert identify(callback) == CallbackIdentity(*identity)


def test_an_identity_leaves_out_arguments_that_are_not_plain() -> None:
    callback = EvaluationCallback(lambda: None, every_steps=7, path="e.jsonl")  # type: ignore[arg-type, return-value]
    arguments = identify(callback).arguments
    assert "path='e.jsonl'" in arguments
    assert "lambda" not in arguments


def test_every_callback_with_a_state_has_a_unique_key() -> None:
    """Checkpoints have these keys: one that changes loses the state of earlier runs."""
    classes = [getattr(callbacks, name) for name in callbacks.__all__ if name.endswith("Callback")]
    keys = {kind.state_key: kind.__name__ for kind in classes if issubclass(kind, LightCallback) and kind.state_key}
    stateful = {kind.__name__ for kind in classes if issubclass(kind, LightCallback) and overrides_state_dict(kind)}
    assert stateful - {"EpisodeCallback"} <= set(keys.values())
    assert keys == {
        "benchmark": "BenchmarkCallback",
        "checkpoint": "RunCheckpointCallback",
        "convergence_stop": "ConvergenceStopCallback",
        "curriculum": "CurriculumCallback",
        "episode_budget": "EpisodeBudgetCallback",
        "episode_logging": "EpisodeLoggingCallback",
        "epsilon_decay": "EpsilonDecayCallback",
        "evaluation": "EvaluationCallback",
        "function": "FunctionCallback",
        "heartbeat": "HeartbeatCallback",
        "metrics": "MetricsCallback",
        "mlflow": "MlflowCallback",
        "opponent_pool": "OpponentPoolCallback",
        "plateau_stop": "PlateauStopCallback",
        "q_values": "QValuesCallback",
        "rating": "RatingCallback",
        "time_budget": "TimeBudgetCallback",
        "timings": "TimingsCallback",
        "tracker": "TrackerCallback",
        "tracking": "TrackingCallback",
        "trackio": "TrackioCallback",
        "wandb": "WandbCallback",
    }


def overrides_state_dict(kind: type[LightCallback]) -> bool:
    return kind.state_dict is not LightCallback.state_dict


def test_different_classes_do_not_match() -> None:
    saved = [CallbackIdentity(None, "A", "(x=1)"), CallbackIdentity(None, "B", "(x=2)")]
    present = [CallbackIdentity(None, "B", "(x=1)"), CallbackIdentity(None, "A", "(x=2)")]
    assert match_callbacks(saved, present) == {0: 1, 1: 0}


@pytest.mark.parametrize(("getter", "setter"), [("state", "restore"), ("state_arrays", "restore_arrays")])
@pytest.mark.parametrize("base", [BaseCallback, EpisodeBudgetCallback])
def test_methods_of_version_0_1_are_refused(base: type[BaseCallback], getter: str, setter: str) -> None:
    methods = {getter: lambda self: {}, setter: lambda self, state: None, "_on_step": lambda self: True}
    outdated = type("Outdated", (base,), methods)
    callback = outdated(1) if base is EpisodeBudgetCallback else outdated()
    message = (
        f"would be lost in a resume: rename {getter}\\(\\) and {setter}\\(\\) of Outdated to state_dict\\(\\) and load"
    )
    with pytest.raises(Sb3ExtError, match=message):
        validate_callbacks(EveryNTimesteps(10, callback))


def test_other_methods_named_state_are_not_refused() -> None:
    class Current(BaseCallback):
        def state(self) -> str:
            return "fine"

        def restore(self, path: Path) -> None:
            pass

        def state_dict(self) -> dict[str, Any]:
            return {}

        def load_state_dict(self, state: dict[str, Any]) -> None:
            pass

        def _on_step(self) -> bool:
            return True

    validate_callbacks([Current(), Count("a")])
