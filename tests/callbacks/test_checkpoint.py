"""Checkpoints in a plain SB3 script."""

from __future__ import annotations

import hashlib
import logging
import threading
from collections.abc import Iterator
from pathlib import Path

import gymnasium
import numpy as np
import pytest
import torch
from stable_baselines3 import DQN, PPO
from stable_baselines3.common.base_class import BaseAlgorithm
from stable_baselines3.common.callbacks import BaseCallback, CallbackList
from stable_baselines3.common.vec_env import DummyVecEnv, VecEnv, VecMonitor

from sb3_ext.callbacks import (
    EvaluationCallback,
    MetricsCallback,
    NanStopCallback,
    RunCheckpointCallback,
    StopFileCallback,
)
from sb3_ext.checkpoints.model_loading import read_weights
from sb3_ext.checkpoints.store.checkpoint_store import CheckpointStore
from sb3_ext.errors import CheckpointError


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


class StopAtCallback(BaseCallback):
    """Ends training in the middle of whatever it is in."""

    def __init__(self, step: int, error: Exception | None = None) -> None:
        super().__init__()
        self._step = step
        self._error = error

    def _on_step(self) -> bool:
        if self.num_timesteps == self._step and self._error is not None:
            raise self._error
        return self.num_timesteps != self._step


def make_model(kind: type[BaseAlgorithm] = PPO) -> BaseAlgorithm:
    env: VecEnv = DummyVecEnv([lambda: gymnasium.make("CartPole-v1", max_episode_steps=30)] * 2)
    env = VecMonitor(env)
    policy_kwargs = {"net_arch": [8]}
    if kind is DQN:
        return DQN("MlpPolicy", env, learning_starts=20, buffer_size=300, policy_kwargs=policy_kwargs, seed=1)
    return PPO("MlpPolicy", env, n_steps=16, batch_size=16, n_epochs=2, policy_kwargs=policy_kwargs, seed=1)


def hash_model(model: BaseAlgorithm) -> str:
    digest = hashlib.sha256()
    for name, parameters in sorted(model.get_parameters().items()):
        digest.update(name.encode())
        tensors = parameters.items() if name == "policy" else enumerate(parameters["state"].values())
        for _, tensor in tensors:
            values = [tensor] if isinstance(tensor, torch.Tensor) else tensor.values()
            for value in values:
                digest.update(np.asarray(value).tobytes())
    return digest.hexdigest()


def learn(model: BaseAlgorithm, directory: Path, total: int = 400, *more: BaseCallback, **arguments: int) -> None:
    checkpoints = RunCheckpointCallback(directory, 96, **arguments)
    steps = checkpoints.resume_if_possible(model, total)
    try:
        model.learn(steps, callback=[MetricsCallback(), *more, checkpoints], reset_num_timesteps=False)
    finally:
        checkpoints.finish()
        checkpoints.close()


@pytest.mark.parametrize("kind", [PPO, DQN])
@pytest.mark.parametrize("steps", [[100], [98, 202, 300]])
def test_an_interrupted_training_ends_with_the_same_weights(kind: type, steps: list[int], tmp_path: Path) -> None:
    whole = make_model(kind)
    learn(whole, tmp_path / "whole")
    for step in steps:
        learn(make_model(kind), tmp_path / "parts", 400, StopAtCallback(step))
    parts = make_model(kind)
    learn(parts, tmp_path / "parts")
    assert parts.num_timesteps == whole.num_timesteps
    assert hash_model(parts) == hash_model(whole)


def test_the_final_state_is_saved_when_learn_ends(tmp_path: Path) -> None:
    for expected_steps in (128, 0):  # started again after its end, a script trains no further
        model = make_model()
        checkpoints = RunCheckpointCallback(tmp_path, 96)
        steps = checkpoints.resume_if_possible(model, 128)
        assert steps == expected_steps
        model.learn(steps, callback=checkpoints, reset_num_timesteps=False)
        latest = checkpoints.store.find_latest()
        assert latest is not None
        assert latest.step == model.num_timesteps == 128
        assert hash_model(PPO.load(latest.model_path)) == hash_model(model)


def test_retention_keeps_the_chosen_checkpoints(tmp_path: Path) -> None:
    learn(make_model(), tmp_path, 400, keep_last=2, milestone_steps=300)
    store = CheckpointStore(tmp_path)
    steps = [bundle.step for bundle in store.list_bundles()]
    assert steps[:2] == [416, 384]
    assert 320 in steps or 300 in steps or 384 in steps
    latest = store.find_latest()
    assert latest is not None
    assert latest.step == 416
    assert (tmp_path / "latest").resolve().name == "step_000000416"
    assert PPO.load(tmp_path / "best" / "model.zip").num_timesteps in steps


def test_the_best_by_evaluation_has_its_score(tmp_path: Path) -> None:
    evaluation = EvaluationCallback(
        lambda: DummyVecEnv([lambda: gymnasium.make("CartPole-v1")]), every_steps=100, episodes=2, seed=3
    )
    checkpoints = RunCheckpointCallback(tmp_path, None, best_by="evaluation", evaluation=evaluation)
    model = make_model()
    model.learn(400, callback=[evaluation, checkpoints])
    checkpoints.finish()
    evaluation.finish()
    checkpoints.finish()
    best = checkpoints.store.find_best()
    assert best is not None
    assert best.score is not None
    assert (best.score.value, best.score.of, best.step) == (evaluation.best_return, "evaluation", evaluation.best_step)
    evaluation.close()
    checkpoints.close()


def test_an_exception_within_a_rollout_loses_only_that_rollout(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError, match="lost"):
        learn(make_model(), tmp_path, 400, StopAtCallback(202, RuntimeError("lost")))
    latest = CheckpointStore(tmp_path).find_latest()
    assert latest is not None
    assert (latest.step, latest.manifest.exact) == (192, True)


def test_weights_that_are_not_finite_are_never_saved(tmp_path: Path) -> None:
    class Poison(BaseCallback):
        def _on_step(self) -> bool:
            return True

        def _on_rollout_end(self) -> None:
            if self.num_timesteps == 160:
                self.model.policy.value_net.bias.data.fill_(float("nan"))

    model = make_model()
    with pytest.raises(ValueError, match="invalid values"):
        learn(model, tmp_path, 400, Poison(), NanStopCallback())
    latest = CheckpointStore(tmp_path).find_latest()
    assert latest is not None
    assert latest.step <= 160
    assert all(bool(tensor.isfinite().all()) for tensor in read_weights(latest).values())


def test_a_full_disk_logs_a_warning_and_training_continues(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    real_add, broken = CheckpointStore.add, []

    def add(self: CheckpointStore, *arguments: object) -> object:
        if len(broken) < 2:
            broken.append(True)
            raise CheckpointError("No space left on device")
        return real_add(self, *arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(CheckpointStore, "add", add)
    model = make_model()
    with caplog.at_level(logging.WARNING):
        learn(model, tmp_path)
    assert model.num_timesteps == 416
    assert caplog.text.count("training continues") == 1
    latest = CheckpointStore(tmp_path).find_latest()
    assert latest is not None
    assert latest.step == 416


@pytest.mark.parametrize("is_nested", [False, True])
def test_a_stop_at_a_boundary_saves_a_checkpoint_there(is_nested: bool, tmp_path: Path) -> None:
    (tmp_path / "stop").touch()
    model = make_model()
    stop: BaseCallback = StopFileCallback(tmp_path / "stop", at_boundary=True)
    # The rollout's beginning is not kept for the end: a stop that is not noticed would leave nothing.
    learn(model, tmp_path / "checkpoints", 400, CallbackList([CallbackList([stop])]) if is_nested else stop)
    latest = CheckpointStore(tmp_path / "checkpoints").find_latest()
    assert latest is not None
    assert (latest.step, latest.manifest.exact) == (0, True)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"interval": 0}, "interval must be positive"),
        ({"keep_last": 0}, "keep_last must be positive"),
        ({"best_by": "luck"}, "best_by must be"),
    ],
)
def test_invalid_arguments_are_refused(arguments: dict[str, object], message: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=message):
        RunCheckpointCallback(tmp_path, **arguments)  # type: ignore[arg-type]


def test_a_loss_that_is_not_finite_stops_training(tmp_path: Path) -> None:
    class Poison(BaseCallback):
        def _on_step(self) -> bool:
            if self.num_timesteps == 200:
                self.model.replay_buffer.rewards[:] = np.inf
            return True

    stop, model = NanStopCallback(), make_model(DQN)
    learn(model, tmp_path, 400, Poison(), stop)
    assert stop.stop_reason == "nan"
    assert 200 < model.num_timesteps < 230
    latest = CheckpointStore(tmp_path).find_latest()
    assert latest is not None
    assert latest.step <= 204


class UnsavedEnv(gymnasium.Wrapper):
    """Has something that cannot be copied, so that its episodes cannot be resumed."""

    def __init__(self, env: gymnasium.Env) -> None:
        super().__init__(env)
        self.lock = threading.Lock()


def test_an_approximate_resume_is_logged_in_a_script(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    def make() -> PPO:
        env = VecMonitor(DummyVecEnv([lambda: UnsavedEnv(gymnasium.make("CartPole-v1"))]))
        return PPO("MlpPolicy", env, n_steps=16, batch_size=16, policy_kwargs={"net_arch": [8]}, seed=1)

    with caplog.at_level(logging.WARNING, "sb3_ext"):
        learn(make(), tmp_path / "run", 200)
        [message] = caplog.messages
        assert message.startswith("resuming from these checkpoints will be approximate: ")
        assert "lock" in message
        caplog.clear()
        learn(make(), tmp_path / "run", 250)
    reason = message.removeprefix("resuming from these checkpoints will be approximate: ")
    assert caplog.messages[0].startswith("resuming from step 208 (")
    assert caplog.messages[0].endswith(f"); this is approximate: {reason}")
