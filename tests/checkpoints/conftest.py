"""Small models and what is captured of them, for the tests of checkpoints on disk."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from stable_baselines3 import DQN, PPO
from stable_baselines3.common.env_util import make_vec_env
from stable_baselines3.common.vec_env import VecNormalize

from sb3_ext.checkpoints.bundle.content import BundleContent, capture_content
from sb3_ext.checkpoints.bundle.manifest import Score
from sb3_ext.checkpoints.state.captured_state import CapturedState
from sb3_ext.checkpoints.store.checkpoint_store import CheckpointStore

MakeContent = Callable[..., BundleContent]


@pytest.fixture(scope="session")
def tiny_ppo() -> PPO:
    env = VecNormalize(make_vec_env("CartPole-v1", 2, seed=1))
    model = PPO("MlpPolicy", env, n_steps=8, batch_size=16, policy_kwargs={"net_arch": [4]}, seed=1, device="cpu")
    return model.learn(32)


@pytest.fixture(scope="session")
def tiny_dqn() -> DQN:
    env = make_vec_env("CartPole-v1", 2, seed=1)
    kwargs = {"net_arch": [4]}
    model = DQN("MlpPolicy", env, buffer_size=100, learning_starts=8, policy_kwargs=kwargs, seed=1, device="cpu")
    return model.learn(64)


@pytest.fixture(scope="session")
def captured_state() -> CapturedState:
    return CapturedState(
        arrays={"observations/last": np.arange(6.0).reshape(2, 3), "mask": np.array([True, False])},
        values={"environment": {"exact": True, "reason": "the environments were saved"}, "counters": {"calls": 3}},
        blobs={"environment": b"\x00\x01opaque", "callbacks/0": b"more"},
    )


@pytest.fixture
def make_content(tiny_ppo: PPO, captured_state: CapturedState) -> MakeContent:
    captured = capture_content(tiny_ppo, episode=3, state=captured_state)

    def make(step: int = 32, score: float | None = None, of: str = "evaluation") -> BundleContent:
        return dataclasses.replace(captured, step=step, score=None if score is None else Score(score, of))

    return make


@pytest.fixture
def store(tmp_path: Path) -> CheckpointStore:
    store = CheckpointStore(tmp_path / "checkpoints")
    store.prepare()
    return store
