from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from stable_baselines3.common.callbacks import (
    BaseCallback,
    CallbackList,
    EvalCallback,
    EveryNTimesteps,
    StopTrainingOnMaxEpisodes,
    StopTrainingOnNoModelImprovement,
)
from stable_baselines3.common.env_util import make_vec_env

from sb3_ext.checkpoints.state.callback_state import capture_callbacks, restore_callbacks
from sb3_ext.checkpoints.state.captured_state import CapturedState
from sb3_ext.errors import CheckpointError


class BestScoreCallback(BaseCallback):
    def __init__(self, best: Any = None) -> None:
        super().__init__()
        self.best = best

    def state_dict(self) -> dict[str, Any]:
        return {"best": self.best}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.best = state["best"]

    def _on_step(self) -> bool:
        return True


class ColumnCallback(BestScoreCallback):
    def __init__(self, column: list[float]) -> None:
        super().__init__()
        self.column = np.array(column)

    def state_dict(self) -> dict[str, Any]:
        return {**super().state_dict(), "columns": {"a/b": [self.column, {"twice": 2 * self.column}]}}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        super().load_state_dict(state)
        self.column, others = state["columns"]["a/b"]
        np.testing.assert_array_equal(others["twice"], 2 * self.column)


def capture(*callbacks: BaseCallback) -> CapturedState:
    state = CapturedState()
    capture_callbacks(callbacks, state)
    return state


def test_callbacks_get_their_state_back() -> None:
    captured = capture(BestScoreCallback(1.5), BestScoreCallback([2.5]), ColumnCallback([3.5, np.nan]))
    first, second, column = BestScoreCallback(), BestScoreCallback(), ColumnCallback([])
    restore_callbacks([column, first, second], captured)
    assert (first.best, second.best) == (1.5, [2.5])
    np.testing.assert_array_equal(column.column, [3.5, np.nan])


def test_a_restored_array_is_not_shared_with_the_captured_state() -> None:
    captured = capture(ColumnCallback([1.0]))
    first, second = ColumnCallback([]), ColumnCallback([])
    restore_callbacks(first, captured)
    first.column[:] = 7
    restore_callbacks(second, captured)
    assert second.column.tolist() == [1.0]


def test_a_captured_state_does_not_change_with_the_callback() -> None:
    scores = [1]
    captured = capture(BestScoreCallback(scores))
    scores.append(2)
    restored = BestScoreCallback()
    restore_callbacks(restored, captured)
    assert restored.best == [1]


@pytest.mark.parametrize("value", [float("nan"), {1, 2}, object()])
def test_a_state_that_is_not_json_is_an_error_with_its_callback(value: object) -> None:
    with pytest.raises(CheckpointError, match=r"the state of callback BestScoreCallback.* is not strict JSON"):
        capture(BestScoreCallback(1), BestScoreCallback(value))


def test_callbacks_without_saved_state_are_unchanged() -> None:
    callback = BestScoreCallback(7)
    callback.n_calls = 3
    restore_callbacks([callback], capture())
    assert (callback.best, callback.n_calls) == (7, 3)
    restore_callbacks([], capture(callback))


def make_stock_callbacks() -> tuple[CallbackList, list[Any]]:
    patience = StopTrainingOnNoModelImprovement(3)
    evaluation = EvalCallback(
        make_vec_env("CartPole-v1"), callback_after_eval=patience, callback_on_new_best=BestScoreCallback()
    )
    every = EveryNTimesteps(100, CallbackList([BestScoreCallback()]))
    episodes = StopTrainingOnMaxEpisodes(5)
    return CallbackList([evaluation, every, episodes]), [evaluation, patience, every, episodes]


def test_nested_stock_callbacks_keep_their_progress() -> None:
    tree, (evaluation, patience, every, episodes) = make_stock_callbacks()
    evaluation.best_mean_reward, evaluation.evaluations_results = 12.0, [[1.0, 2.0]]
    evaluation.n_calls, every.last_time_trigger, episodes.n_episodes = 77, 300, 4
    patience.no_improvement_evals = 2
    every.callback.callbacks[0].best = evaluation.callback_on_new_best.best = "nested"
    captured = capture(tree)
    restored, (evaluation, patience, every, episodes) = make_stock_callbacks()
    restore_callbacks(restored, captured)
    assert (evaluation.best_mean_reward, evaluation.evaluations_results, evaluation.n_calls) == (12.0, [[1.0, 2.0]], 77)
    assert (every.last_time_trigger, episodes.n_episodes, patience.no_improvement_evals) == (300, 4, 2)
    assert patience.last_best_mean_reward == -np.inf
    assert every.callback.callbacks[0].best == evaluation.callback_on_new_best.best == "nested"


def test_circular_references_between_callbacks_are_supported() -> None:
    owner = BestScoreCallback(1)
    others = CallbackList([BestScoreCallback(2), owner])
    owner.others = others
    assert [entry["state"] for entry in capture(others).values["callbacks"]] == [None, {"best": 2}, {"best": 1}]
