from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from stable_baselines3.common.base_class import BaseAlgorithm
from stable_baselines3.common.callbacks import BaseCallback

from sb3_ext.callbacks import DeterministicCollectionCallback
from sb3_ext.errors import Sb3ExtError

MakeModel = Callable[..., BaseAlgorithm]

ALWAYS_RANDOM = {"exploration_final_eps": 1.0, "learning_starts": 0}


class CompareWithMode(BaseCallback):
    """Counts the actions that differ from those that the model finds best."""

    def __init__(self) -> None:
        super().__init__()
        self.different = 0
        self._observation: Any = None

    def _on_step(self) -> bool:
        before = self._observation if self._observation is not None else self.model._last_obs
        keywords: dict[str, Any] = {}
        if "lstm_states" in self.locals:
            return True  # the state that the action was chosen in is gone
        if "action_masks" in self.locals:
            keywords["action_masks"] = self.locals["action_masks"]
        best, _ = self.model.predict(before, deterministic=True, **keywords)
        self.different += int(np.any(best != self.locals["actions"]))
        self._observation = self.locals["new_obs"]
        return True


@pytest.mark.parametrize("name", ["ppo", "a2c", "trpo", "maskable_ppo", "dqn", "qrdqn"])
def test_collects_the_best_actions(name: str, make_model: MakeModel) -> None:
    counts = []
    for extra in ([], [DeterministicCollectionCallback()]):
        model = make_model(name, **(ALWAYS_RANDOM if "dqn" in name else {}))
        comparison = CompareWithMode()
        model.learn(64, callback=[*extra, comparison])
        counts.append(comparison.different)
    assert counts[0] > 0
    assert counts[1] == 0


def test_a_recurrent_policy_takes_the_same_actions_every_time(make_model: MakeModel) -> None:
    model = make_model("recurrent_ppo", n_epochs=1, learning_rate=0.0)
    seen: list[bool] = []

    class Ask(BaseCallback):
        def _on_training_start(self) -> None:
            model.policy.action_dist.get_actions = self._note  # type: ignore[method-assign]

        def _note(self, deterministic: bool = False) -> Any:
            seen.append(deterministic)
            return model.policy.action_dist.mode()

        def _on_step(self) -> bool:
            return True

    model.learn(16, callback=[DeterministicCollectionCallback(), Ask()])
    assert seen == [True] * 16


@pytest.mark.parametrize("name", ["ppo", "dqn"])
def test_exploration_is_restored_after_training(name: str, make_model: MakeModel) -> None:
    model = make_model(name)
    schedule = getattr(model, "exploration_schedule", None)
    model.learn(24, callback=DeterministicCollectionCallback())
    assert not model.policy._forward_pre_hooks
    assert getattr(model, "exploration_schedule", None) is schedule


@pytest.mark.parametrize("name", ["sac", "td3", "ddpg", "tqc", "crossq", "ars"])
def test_other_algorithms_are_refused(name: str, make_model: MakeModel) -> None:
    with pytest.raises(Sb3ExtError, match="needs an on-policy algorithm, DQN or QR-DQN, but got"):
        make_model(name).learn(10, callback=DeterministicCollectionCallback())
