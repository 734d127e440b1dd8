from __future__ import annotations

import json
import re
import time
from collections.abc import Callable
from typing import Any

import gymnasium
import numpy as np
import pytest
import torch
from gymnasium.envs.classic_control import CartPoleEnv
from gymnasium.utils import EzPickle
from sb3_contrib import ARS
from stable_baselines3 import A2C, DQN, PPO, SAC
from stable_baselines3.common.base_class import BaseAlgorithm
from stable_baselines3.common.callbacks import BaseCallback
from stable_baselines3.common.env_util import make_vec_env
from stable_baselines3.common.utils import ConstantSchedule, FloatSchedule, LinearSchedule

from sb3_ext.checkpoints.state.training_state import (
    CapturedState,
    capture_state,
    restore_at_boundary,
    restore_before_learn,
)
from sb3_ext.errors import CheckpointError
from sb3_ext.vec.snapshots.exactness import Exactness


def small(**parameters: Any) -> dict[str, Any]:
    return {"policy_kwargs": {"net_arch": [8]}, "device": "cpu", "seed": 1, **parameters}


class CaptureCallback(BaseCallback):
    """Captures at the first boundary from a step on, and stops there."""

    def __init__(self, from_step: int = 0, exactness: Exactness | None = None) -> None:
        super().__init__()
        self.from_step, self.exactness = from_step, exactness
        self.captured: CapturedState | None = None

    def _on_rollout_start(self) -> None:
        if self.captured is None and self.num_timesteps >= self.from_step:
            self.captured = capture_state(self.model, self, exactness=self.exactness)

    def _on_step(self) -> bool:
        return self.captured is None


class RestoreCallback(BaseCallback):
    """Restores at the first boundary, and hands the model over there."""

    def __init__(self, captured: CapturedState, look: Callable[[Any], None] = lambda model: None) -> None:
        super().__init__()
        self.captured: CapturedState | None = captured
        self.look = look

    def _on_rollout_start(self) -> None:
        if self.captured is not None:
            restore_at_boundary(self.model, self.captured, self)
            self.captured = None
            self.look(self.model)

    def _on_step(self) -> bool:
        return True


class OtherCartPole(CartPoleEnv):
    pass


class EzPickledCartPole(CartPoleEnv, EzPickle):
    def __init__(self) -> None:
        EzPickle.__init__(self)
        CartPoleEnv.__init__(self)


def make_ppo(env: Any = "CartPole-v1", **parameters: Any) -> PPO:
    return PPO(
        "MlpPolicy", make_vec_env(env, 2), **{**small(), "n_steps": 16, "batch_size": 16, "n_epochs": 1, **parameters}
    )


def capture(model: BaseAlgorithm, from_step: int = 64, exactness: Exactness | None = None) -> CaptureCallback:
    callback = CaptureCallback(from_step, exactness)
    model.learn(10**6, callback, log_interval=None)
    return callback


def resume(model: BaseAlgorithm, captured: CapturedState, steps: int = 0, look: Any = lambda model: None) -> None:
    callback = RestoreCallback(captured, look)
    restore_before_learn(model, captured)
    model.learn(max(steps, 1), callback, log_interval=None, reset_num_timesteps=False)
    assert callback.captured is None


@pytest.mark.parametrize("kind", [PPO, A2C, DQN, SAC])
def test_captured_state_is_plain_and_shares_nothing(kind: type[BaseAlgorithm]) -> None:
    model = kind("MlpPolicy", make_vec_env("Pendulum-v1" if kind is SAC else "CartPole-v1", 2), **small())
    captured = capture(model).captured
    assert captured is not None
    assert json.loads(json.dumps(captured.values, allow_nan=False)) == captured.values
    assert all(array.base is None and array.dtype != object for array in captured.arrays.values())
    assert all(isinstance(blob, bytes) for blob in captured.blobs.values())
    assert captured.exactness == Exactness(True, "the environments were saved with their state")


@pytest.mark.parametrize("shape", [(3, 4, 5, 2), (3, 4, 5, 1), (1, 4, 5, 3), (1, 1, 1, 1)])
@pytest.mark.parametrize("axes", [(0, 1, 2, 3), (0, 3, 1, 2), (3, 2, 1, 0)])
def test_arrays_keep_their_memory_layout(shape: tuple[int, ...], axes: tuple[int, ...]) -> None:
    array = np.arange(np.prod(shape), dtype=np.float32).reshape(shape).transpose(axes)
    state = CapturedState()
    state.put_array("image", array)
    assert state.arrays["image"].flags.c_contiguous
    restored = state.get_array("image")
    np.testing.assert_array_equal(restored, array)
    assert restored.strides == array.strides


def test_a_run_that_cannot_be_restored_exactly_begins_new_episodes() -> None:
    model = make_ppo(EzPickledCartPole)
    first_observation = model.env.reset()
    captured = capture(make_ppo(EzPickledCartPole)).captured
    assert captured is not None
    assert not captured.exactness.exact
    assert "EzPickledCartPole inherits EzPickle" in captured.exactness.reason
    resumed = make_ppo(EzPickledCartPole)
    seen: list[Any] = []
    resume(resumed, captured, look=lambda model: seen.append((model.num_timesteps, model._last_obs, model._n_updates)))
    [(steps, observation, updates)] = seen
    assert (steps, updates) == (64, 2)
    assert not np.array_equal(observation, first_observation)
    assert np.abs(observation).max() < 0.06  # CartPole begins within 0.05


def test_a_failed_self_test_makes_the_state_inexact() -> None:
    captured = capture(make_ppo(), exactness=Exactness(False, "it took another course")).captured
    assert captured is not None
    assert captured.exactness.reason == "it took another course"
    assert "environment" not in captured.blobs
    resume(make_ppo(), captured)


def test_learn_needs_reset_num_timesteps_false() -> None:
    captured = capture(make_ppo()).captured
    assert captured is not None
    model = make_ppo()
    restore_before_learn(model, captured)
    with pytest.raises(
        CheckpointError, match=r"resumes at step 64, but learn has started at step 0.*reset_num_timesteps"
    ):
        model.learn(100, RestoreCallback(captured))


def test_another_environment_is_refused() -> None:
    captured = capture(make_ppo()).captured
    assert captured is not None
    other = make_ppo(OtherCartPole)
    with pytest.raises(CheckpointError, match=r"is of .*CartPoleEnv.*, but the environment is .*OtherCart"):
        resume(other, captured)


def test_other_wrappers_begin_new_episodes_and_make_the_state_inexact() -> None:
    captured = capture(make_ppo()).captured
    assert captured is not None
    other = make_ppo(lambda: gymnasium.wrappers.TransformReward(gymnasium.make("CartPole-v1"), float))
    seen: list[Any] = []
    resume(other, captured, look=lambda model: seen.append((model.num_timesteps, model._last_obs, model._n_updates)))
    [(steps, observation, updates)] = seen
    assert (steps, updates) == (64, 2)
    assert np.abs(observation).max() < 0.06  # CartPole begins within 0.05
    assert not captured.exactness.exact
    assert re.match(
        "the checkpoint was written by an earlier version, or script, with other wrappers: the snapshot is of .*, "
        "but the environment is .*TransformReward",
        captured.exactness.reason,
    )


@pytest.mark.parametrize("use_sde", [False, True])
def test_an_extended_run_equals_a_longer_one(use_sde: bool) -> None:
    def train(steps: int) -> PPO:
        model = make_ppo("Pendulum-v1", use_sde=use_sde)
        return model.learn(steps, log_interval=None)

    finished = train(64)
    captured = capture_state(finished, after_learn=True)
    extended = make_ppo("Pendulum-v1", use_sde=use_sde)
    extended.set_parameters(finished.get_parameters())
    np.random.random(3)
    torch.rand(3)
    resume(extended, captured, 64)
    expected = train(128).policy.state_dict()
    assert all(torch.equal(tensor, expected[name]) for name, tensor in extended.policy.state_dict().items())


def test_time_and_steps_of_the_earlier_process_count() -> None:
    model = make_ppo()
    callback = capture(model)
    assert callback.captured is not None
    callback.captured.values["algorithm"]["elapsed_seconds"] = 1000.0
    seen: list[Any] = []
    resume(
        make_ppo(),
        callback.captured,
        look=lambda model: seen.append(((time.time_ns() - model.start_time) / 1e9, model._num_timesteps_at_start)),
    )
    [(elapsed_seconds, first_step)] = seen
    assert 1000 <= elapsed_seconds < 1100
    assert first_step == 0


def test_the_number_of_torch_threads_is_restored() -> None:
    threads = torch.get_num_threads()
    captured = capture(make_ppo()).captured
    assert captured is not None
    torch.set_num_threads(threads + 1)
    try:
        resume(make_ppo(), captured)
        assert torch.get_num_threads() == threads
    finally:
        torch.set_num_threads(threads)


def test_rates_set_by_callbacks_are_restored() -> None:
    model = DQN("MlpPolicy", make_vec_env("CartPole-v1"), **small())
    model.lr_schedule = FloatSchedule(0.123)
    model.exploration_schedule = ConstantSchedule(0.456)
    captured = capture(model).captured
    assert captured is not None
    resumed = DQN("MlpPolicy", make_vec_env("CartPole-v1"), **small())
    resume(resumed, captured)
    assert (resumed.lr_schedule(0.3), resumed.exploration_schedule(0.3)) == (0.123, 0.456)


def test_other_rates_are_those_of_the_new_model() -> None:
    captured = capture(DQN("MlpPolicy", make_vec_env("CartPole-v1"), **small())).captured
    assert captured is not None
    resumed = DQN("MlpPolicy", make_vec_env("CartPole-v1"), learning_rate=0.5, **small())
    resume(resumed, captured)
    assert resumed.lr_schedule(0.3) == 0.5
    assert isinstance(resumed.exploration_schedule, LinearSchedule)


def test_ars_is_resumed_approximately() -> None:
    def make_ars() -> ARS:
        return ARS("LinearPolicy", make_vec_env("CartPole-v1"), n_delta=2, device="cpu", seed=1)

    model = make_ars()
    model.learn(200, log_interval=1000)
    captured = capture_state(model, after_learn=True)
    assert "ARS has no point between two rollouts" in captured.exactness.reason
    resumed = make_ars()
    restore_before_learn(resumed, captured)
    assert torch.equal(resumed.weights, model.weights)
    assert resumed.num_timesteps == model.num_timesteps
