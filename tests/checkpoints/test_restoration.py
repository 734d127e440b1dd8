"""A resume restores each part of a checkpoint once, when nothing changes it by itself any more."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
import pytest
from sb3_contrib import RecurrentPPO
from stable_baselines3 import PPO, SAC, TD3
from stable_baselines3.common.base_class import BaseAlgorithm
from stable_baselines3.common.callbacks import BaseCallback, EveryNTimesteps
from stable_baselines3.common.env_util import make_vec_env
from stable_baselines3.common.noise import NormalActionNoise
from stable_baselines3.common.vec_env import VecNormalize

from sb3_ext import callbacks
from sb3_ext.callbacks import (
    BenchmarkCallback,
    EpisodeBudgetCallback,
    EpisodeLoggingCallback,
    EvaluationCallback,
    MetricsCallback,
    RunCheckpointCallback,
    TimingsCallback,
)
from sb3_ext.callbacks.bases.light_callback import LightCallback
from sb3_ext.callbacks.stops.boundary_stop import BoundaryStopCallback
from sb3_ext.checkpoints import restoration
from sb3_ext.checkpoints.bundle.bundle import Bundle
from sb3_ext.checkpoints.state import environment_state, monitor_state
from sb3_ext.checkpoints.state.captured_state import CapturedState
from sb3_ext.errors import Sb3ExtError
from sb3_ext.selfplay import OpponentPool, SelfPlayVecEnv, make_game


class CountingDict(dict[str, Any]):
    """Counts how often each value is read."""

    def __init__(self, content: dict[str, Any]) -> None:
        super().__init__(content)
        self.reads: Counter[str] = Counter()

    def __getitem__(self, key: str) -> Any:
        self.reads[key] += 1
        return super().__getitem__(key)

    def get(self, key: str, default: Any = None) -> Any:
        self.reads[key] += 1
        return super().get(key, default)


class RolloutCounter(BaseCallback):
    """A callback of a user's own that changes at the boundary itself."""

    def __init__(self, last_step: int | None = None) -> None:
        super().__init__()
        self.last_step = last_step
        self.rollouts = self.loads = 0

    def state_dict(self) -> dict[str, Any]:
        return {"rollouts": self.rollouts}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.rollouts = state["rollouts"]
        self.loads += 1

    def _on_rollout_start(self) -> None:
        self.rollouts += 1

    def _on_step(self) -> bool:
        return self.num_timesteps != self.last_step


def small(**policy_kwargs: Any) -> dict[str, Any]:
    return {"policy_kwargs": {"net_arch": [4], **policy_kwargs}, "device": "cpu", "seed": 1}


def make_evaluation_env() -> VecNormalize:
    return VecNormalize(make_vec_env("CartPole-v1"), training=False)


def make_ppo(tmp_path: Path) -> BaseAlgorithm:
    monitor: dict[str, Any] = {"monitor_dir": str(tmp_path), "monitor_kwargs": {"override_existing": False}}
    env = VecNormalize(make_vec_env("CartPole-v1", 2, **monitor))
    return PPO("MlpPolicy", env, n_steps=16, batch_size=16, n_epochs=1, **small())


def make_sac(tmp_path: Path) -> BaseAlgorithm:
    return SAC("MlpPolicy", "Pendulum-v1", use_sde=True, learning_starts=8, buffer_size=100, batch_size=8, **small())


def make_td3(tmp_path: Path) -> BaseAlgorithm:
    noise = NormalActionNoise(np.zeros(1), np.ones(1))
    return TD3(
        "MlpPolicy", "Pendulum-v1", action_noise=noise, learning_starts=8, buffer_size=100, batch_size=8, **small()
    )


def make_recurrent(tmp_path: Path) -> BaseAlgorithm:
    policy = small(lstm_hidden_size=4)
    return RecurrentPPO("MlpLstmPolicy", "CartPole-v1", n_steps=16, batch_size=16, n_epochs=1, **policy)


def make_pool(tmp_path: Path) -> BaseAlgorithm:
    game = make_game("connect4", num_boards=2, params={"rows": 4, "cols": 4, "in_a_row": 3})
    pool = OpponentPool(tmp_path / "opponents", game, {"random": 1.0}, seed=1, start_episode=0, save_every=2)
    env = SelfPlayVecEnv(game, pool, illegal_move="random_legal", seed=2)
    return PPO("MlpPolicy", env, n_steps=16, batch_size=16, n_epochs=1, **small())


def make_callbacks(model: BaseAlgorithm) -> list[BaseCallback]:
    is_game = isinstance(model.get_env().unwrapped, SelfPlayVecEnv)  # type: ignore[union-attr]
    evaluation = EvaluationCallback(make_evaluation_env, every_steps=32, episodes=1, at_end=False)
    return [
        EpisodeLoggingCallback(2),
        MetricsCallback(),
        BenchmarkCallback(),
        TimingsCallback(),
        RolloutCounter(),
        EveryNTimesteps(20, RolloutCounter()),
        *([callbacks.OpponentPoolCallback(), callbacks.RatingCallback()] if is_game else []),
        *([evaluation] if model.get_vec_normalize_env() else []),
    ]


def train(model: BaseAlgorithm, path: Path, total: int, others: list[BaseCallback]) -> None:
    checkpoints = RunCheckpointCallback(path / "checkpoints", 32)
    steps = checkpoints.resume_if_possible(model, total)
    model.learn(steps, callback=[*others, checkpoints], log_interval=None, reset_num_timesteps=False)
    checkpoints.close()
    model.get_env().close()  # type: ignore[union-attr]


@pytest.fixture
def counts(monkeypatch: pytest.MonkeyPatch) -> Counter[str]:
    """How often each function and method was called that restores something."""
    found: Counter[str] = Counter()

    def watch(owner: Any, name: str, label: Callable[[tuple[Any, ...]], str]) -> None:
        original = getattr(owner, name)

        def watched(*arguments: Any, **keywords: Any) -> Any:
            found[label(arguments)] += 1
            return original(*arguments, **keywords)

        monkeypatch.setattr(owner, name, watched)

    watch(environment_state, "set_vec_snapshot", lambda _: "environments")
    watch(monitor_state, "cut_monitor_files", lambda _: "monitor files")
    watch(restoration, "read_tensors", lambda arguments: f"tensors {arguments[1]}")
    watch(restoration, "restore_normalization", lambda _: "normalization")
    watch(restoration, "restore_replay", lambda _: "replay buffer")
    # Those of its subclasses all call it.
    watch(LightCallback, "load_state_dict", lambda arguments: f"{type(arguments[0]).__name__} {id(arguments[0])}")
    return found


@pytest.mark.parametrize("make_model", [make_ppo, make_sac, make_td3, make_recurrent, make_pool])
def test_each_part_is_restored_once(
    make_model: Callable[[Path], BaseAlgorithm],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    counts: Counter[str],
) -> None:
    model = make_model(tmp_path)
    train(model, tmp_path, 64, make_callbacks(model))
    read = Bundle.read_state
    states: list[CapturedState] = []

    def read_counted(bundle: Bundle, rank: int = 0) -> CapturedState:
        state = read(bundle, rank)
        states.append(CapturedState(CountingDict(state.arrays), state.values, CountingDict(state.blobs)))
        return states[-1]

    monkeypatch.setattr(Bundle, "read_state", read_counted)
    counts.clear()
    model = make_model(tmp_path)
    others = make_callbacks(model)
    train(model, tmp_path, 96, others)

    [state] = states
    for part in (state.arrays, state.blobs):
        assert isinstance(part, CountingDict)
        assert part.reads == dict.fromkeys(part, 1)
    assert {name: count for name, count in counts.items() if count != 1} == {}
    assert {"environments", "monitor files", "tensors policy"} <= counts.keys()
    assert ("normalization" in counts) == (model.get_vec_normalize_env() is not None)
    assert ("replay buffer" in counts) == hasattr(model, "replay_buffer")
    if isinstance(model, SAC):
        assert "tensors pytorch_variables" in counts
    restored = {name.partition(" ")[0] for name in counts if "Callback" in name}
    stateful = {type(other).__name__ for other in others if isinstance(other, LightCallback)}
    assert restored == stateful | {"RunCheckpointCallback"}
    counters = [other for other in others if isinstance(other, RolloutCounter)]
    assert [counter.loads for counter in counters] == [1]


def test_a_callback_that_changes_at_the_boundary_is_restored_exactly(tmp_path: Path) -> None:
    def count_rollouts(path: Path, *last_steps: int | None) -> int:
        for last_step in last_steps:
            counter = RolloutCounter(last_step)
            train(make_ppo(path), path, 128, [counter])
        return counter.rollouts

    assert count_rollouts(tmp_path / "whole", None) == count_rollouts(tmp_path / "parts", 70, None) == 4


class Rising(gymnasium.Wrapper[Any, Any, Any, Any]):
    """Rewards are ``level``, which a callback sets."""

    level = 0.0

    def step(self, action: Any) -> Any:
        observation, _, *ends = self.env.step(action)
        return observation, self.level, *ends


class LevelCallback(BaseCallback):
    """A curriculum, of which a user has not made any state: only the environments know the level."""

    def _on_training_start(self) -> None:
        self.training_env.set_attr("level", 0.0)
        self.training_env.reset()

    def _on_step(self) -> bool:
        if self.num_timesteps == 20:
            self.training_env.set_attr("level", 1.0)
        return True


def test_callbacks_may_change_the_environments_before_the_first_rollout(tmp_path: Path) -> None:
    def train_levels(path: Path, *totals: int) -> list[Any]:
        for total in totals:
            env = make_vec_env(lambda: Rising(gymnasium.make("CartPole-v1")))
            model = PPO("MlpPolicy", env, n_steps=16, batch_size=16, n_epochs=1, **small())
            checkpoints = RunCheckpointCallback(path, 32)
            steps = checkpoints.resume_if_possible(model, total)
            model.learn(steps, callback=[LevelCallback(), checkpoints], reset_num_timesteps=False)
            checkpoints.close()
        return [env.get_attr("level"), [(episode["r"], episode["l"]) for episode in model.ep_info_buffer or ()]]

    whole = train_levels(tmp_path / "whole", 96)
    assert whole[0] == [1.0]
    assert train_levels(tmp_path / "parts", 48, 96) == whole


def test_a_budget_that_was_used_up_ends_the_resumed_training_before_its_first_step(tmp_path: Path) -> None:
    def train_episodes(total_episodes: int) -> PPO:
        env = make_vec_env(lambda: gymnasium.make("CartPole-v1", max_episode_steps=8))
        model = PPO("MlpPolicy", env, n_steps=16, batch_size=16, n_epochs=1, **small())
        checkpoints, budget = (
            RunCheckpointCallback(tmp_path, 16),
            EpisodeBudgetCallback(total_episodes, at_boundary=True),
        )
        steps = checkpoints.resume_if_possible(model, 10**4)
        model.learn(steps, callback=[budget, checkpoints, BoundaryStopCallback()], reset_num_timesteps=False)
        checkpoints.close()
        return model

    with pytest.raises(callbacks.TrainingStopped):
        train_episodes(4)
    with pytest.raises(callbacks.TrainingStopped):
        train_episodes(4)
    steps = [bundle.step for bundle in RunCheckpointCallback(tmp_path).store.list_bundles()]
    assert len(steps) == len(set(steps))


def test_a_callback_with_the_methods_of_version_0_1_is_refused_before_the_first_step(tmp_path: Path) -> None:
    class Outdated(BaseCallback):
        def state(self) -> dict[str, Any]:
            return {}

        def restore(self, state: dict[str, Any]) -> None:
            pass

        def _on_step(self) -> bool:
            raise AssertionError("training has begun")

    model = PPO("MlpPolicy", "CartPole-v1", n_steps=16, batch_size=16, **small())
    message = r"rename state\(\) and restore\(\) of Outdated to state_dict\(\) and load_state_dict\(state\)"
    with pytest.raises(Sb3ExtError, match=message):
        model.learn(16, callback=[Outdated(), RunCheckpointCallback(tmp_path)])
