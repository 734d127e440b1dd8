"""Send signals to runs at any moment; see ``tests/harness/signal_matrix.py``."""

from __future__ import annotations

import multiprocessing
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import gymnasium
import pytest
import torch
from stable_baselines3 import DQN, PPO
from stable_baselines3.common.base_class import BaseAlgorithm
from stable_baselines3.common.callbacks import BaseCallback
from stable_baselines3.common.env_util import make_vec_env

from sb3_ext import resume, train
from sb3_ext.callbacks import RunCheckpointCallback
from sb3_ext.checkpoints.store.checkpoint_store import CheckpointStore
from sb3_ext.runs.run import Run


class InterruptUpdate(BaseCallback):
    """Raises, like a second signal, in the middle of the update after a step."""

    def __init__(self, step: int | None) -> None:
        super().__init__()
        self._step = step
        self._calls = 0

    def _on_training_start(self) -> None:
        self.model.policy.optimizer.register_step_post_hook(self._on_optimizer_step)

    def _on_step(self) -> bool:
        return True

    def _on_optimizer_step(self, *_: Any) -> None:
        if self._step is not None and self.num_timesteps >= self._step:
            self._calls += 1
            if self._calls == 2:
                raise KeyboardInterrupt


def make_model(kind: type[BaseAlgorithm]) -> BaseAlgorithm:
    env = make_vec_env(lambda: gymnasium.make("CartPole-v1", max_episode_steps=30), 2, seed=1)
    keywords: dict[str, Any] = {"policy_kwargs": {"net_arch": [8]}, "seed": 1, "device": "cpu"}
    if kind is PPO:
        return PPO("MlpPolicy", env, n_steps=16, batch_size=16, n_epochs=2, **keywords)
    return DQN("MlpPolicy", env, learning_starts=20, buffer_size=300, gradient_steps=4, batch_size=8, **keywords)


def learn(model: BaseAlgorithm, directory: Path, interrupted_at: int | None = None) -> None:
    checkpoints = RunCheckpointCallback(directory, 96)
    steps = checkpoints.resume_if_possible(model, 320)
    try:
        model.learn(steps, callback=[InterruptUpdate(interrupted_at), checkpoints], reset_num_timesteps=False)
    finally:
        checkpoints.finish()
        checkpoints.close()


@pytest.mark.parametrize("kind", [PPO, DQN])
def test_a_half_updated_model_is_not_saved(kind: type[BaseAlgorithm], tmp_path: Path) -> None:
    whole, parts = make_model(kind), make_model(kind)
    learn(whole, tmp_path / "whole")
    with pytest.raises(KeyboardInterrupt):
        learn(make_model(kind), tmp_path / "parts", interrupted_at=128)
    learn(parts, tmp_path / "parts")
    assert parts.num_timesteps == whole.num_timesteps
    for name, tensor in whole.policy.state_dict().items():
        assert torch.equal(parts.policy.state_dict()[name], tensor), name


UNEVEN = """
import time
import gymnasium

class Uneven(gymnasium.Wrapper):
    def reset(self, *, seed=None, options=None):
        self.seconds = getattr(self, "seconds", 0.0) if seed is None else 0.5 * (seed % 2)
        return super().reset(seed=seed, options=options)

    def step(self, action):
        time.sleep(self.seconds)
        return super().step(action)
"""


class InterruptStep(BaseCallback):
    """Raises, as a second signal does, while one of two environments has answered and the other has not."""

    def _on_step(self) -> bool:
        if self.n_calls == 1:
            threading.Timer(0.2, os.kill, (os.getpid(), signal.SIGUSR1)).start()
        return True


@pytest.fixture
def sigusr1_interrupts() -> Iterator[None]:
    def interrupt(*_: Any) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGUSR1, interrupt)
    yield
    signal.signal(signal.SIGUSR1, before)


@pytest.mark.timeout(60)
@pytest.mark.usefixtures("sigusr1_interrupts")
def test_an_interrupted_step_does_not_hang(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "uneven.py").write_text(UNEVEN)
    monkeypatch.syspath_prepend(tmp_path)
    config = {
        "seed": 0,
        "env": {"id": "CartPole-v1", "wrappers": ["uneven.Uneven"]},
        "parallel": {"num_envs": 2, "mode": "subproc"},
        "agent": {"id": "ppo", "threads": 1, "params": {"n_steps": 16, "batch_size": 16}},
        "train": {"total_steps": 1000},
    }
    with pytest.raises(KeyboardInterrupt):
        train(config, run_dir=tmp_path / "run", callback=InterruptStep())
    run = Run(tmp_path / "run")
    assert (run.status, run.record.stop_reason) == ("stopped", "signal SIGINT")
    assert CheckpointStore(run.paths.checkpoints).find_latest() is not None
    assert multiprocessing.active_children() == []


def test_no_curves_are_drawn_after_a_signal(tmp_path: Path) -> None:
    def signal_at_once(metrics: dict[str, Any]) -> None:
        os.kill(os.getpid(), signal.SIGTERM)

    config = {
        "env": {"id": "CartPole-v1", "max_steps": 10},
        "agent": {"id": "ppo", "threads": 1, "params": {"n_steps": 32, "batch_size": 32}},
        "train": {"total_steps": 64},
        "eval": {"episodes": 1},
    }
    run = train(config, run_dir=tmp_path / "run", callback=signal_at_once)
    assert run.record.stop_reason == "signal SIGTERM"
    assert not run.paths.training_curves.exists()
    assert resume(run.paths.root).status == "completed"
    assert run.paths.training_curves.exists()


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_a_selection_of_signals(run_harness: Callable[..., str]) -> None:
    run_harness("signal_matrix.py", "--quick", "--jobs", "3", "--slack-seconds", "30")


@pytest.mark.slow
@pytest.mark.timeout(7200)
def test_the_whole_matrix_of_signals(run_harness: Callable[..., str]) -> None:
    run_harness("signal_matrix.py", "--slack-seconds", "30")


ENDING = """
import atexit, os, signal, sys
from sb3_ext.cli import main

def send_both(*arguments):
    os.kill(os.getpid(), signal.SIGINT)
    os.kill(os.getpid(), signal.SIGTERM)

train = sys.modules["sb3_ext.cli.train"]
train.choose_exit_status = lambda run: send_both() or 75
atexit.register(send_both)
sys.argv[1:] = [
    "train", "--algo", "ppo", "--env", "CartPole-v1", "--set", "agent.params.n_steps=16", "--batch-size", "16",
    "--threads", "1", "--total-steps", "32", "--set", "eval.episodes=1", "--run-dir", "run",
]
main()
"""


def test_a_signal_after_the_end_does_not_alter_the_exit_status(tmp_path: Path) -> None:
    command = [sys.executable, "-c", ENDING]
    result = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=120)
    assert (result.returncode, "Traceback" in result.stderr) == (75, False), result.stderr
    assert result.stdout.startswith("completed (total_steps)")
