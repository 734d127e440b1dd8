"""Updates whose features of images or boards are computed in bfloat16."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any

import gymnasium
import numpy as np
import pytest
import torch
from gymnasium import spaces
from parity import make_filled, read_state, restoring
from sb3_contrib import QRDQN, TQC
from stable_baselines3 import A2C, DQN, PPO, SAC, TD3
from stable_baselines3.common.base_class import BaseAlgorithm
from stable_baselines3.common.evaluation import evaluate_policy
from stable_baselines3.common.torch_layers import BaseFeaturesExtractor
from torch import nn

from sb3_ext.algorithms.board_networks import BoardCNN
from sb3_ext.algorithms.impala import ImpalaCNN
from sb3_ext.engines.attachment import attaching
from sb3_ext.engines.coverage import NotCovered
from sb3_ext.engines.engine_choice import choose_engine
from sb3_ext.engines.engine_registry import get_engine

IMAGE = spaces.Box(0, 255, (3, 36, 36), np.uint8)
BOARD = spaces.Box(0, 1, (2, 6, 7), np.float32)
MASKED_BOARD = spaces.Dict({"action_mask": spaces.MultiBinary(4), "observation": BOARD})
ROLLOUT: Mapping[str, Any] = {"steps": 32, "n_steps": 16, "policy_kwargs": {"optimizer_class": torch.optim.SGD}}
REPLAY: Mapping[str, Any] = {
    "steps": 64,
    "batch_size": 32,
    "learning_starts": 0,
    "buffer_size": 64,
    "policy_kwargs": {"optimizer_class": torch.optim.SGD},
}
# Computed with autograd.
WITHOUT_COUNTERPART = {"optimizer_class": torch.optim.SGD, "features_extractor_class": ImpalaCNN}
BOARD_NETWORK = {
    "optimizer_class": torch.optim.SGD,
    "features_extractor_class": BoardCNN,
    "features_extractor_kwargs": {"channels": [32, 16], "kernel_size": 3},
}


@pytest.fixture(autouse=True)
def any_processor(monkeypatch: pytest.MonkeyPatch) -> None:
    """Torch computes in bfloat16 on every processor, slowly without the instructions."""
    monkeypatch.setattr("sb3_ext.engines.torch_engine.has_bfloat16_instructions", lambda: True)


@pytest.mark.parametrize(
    ("algorithm", "observations", "actions", "arguments"),
    [
        (PPO, IMAGE, spaces.Discrete(4), {**ROLLOUT, "batch_size": 32, "n_epochs": 1}),
        (A2C, IMAGE, spaces.Discrete(4), ROLLOUT),
        (A2C, IMAGE, spaces.Discrete(4), {**ROLLOUT, "policy_kwargs": WITHOUT_COUNTERPART}),
        (DQN, IMAGE, spaces.Discrete(4), REPLAY),
        (QRDQN, IMAGE, spaces.Discrete(4), REPLAY),
        (SAC, IMAGE, spaces.Box(-1, 1, (2,)), REPLAY),
        (TQC, IMAGE, spaces.Box(-1, 1, (2,)), REPLAY),
        (TD3, IMAGE, spaces.Box(-1, 1, (2,)), REPLAY),
        (PPO, BOARD, spaces.Discrete(4), {**ROLLOUT, "batch_size": 32, "n_epochs": 1, "policy_kwargs": BOARD_NETWORK}),
        (DQN, MASKED_BOARD, spaces.Discrete(4), {**REPLAY, "policy_kwargs": BOARD_NETWORK}),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_an_update_is_that_of_torch_but_for_rounding(
    algorithm: type[BaseAlgorithm],
    observations: spaces.Space[Any],
    actions: spaces.Space[Any],
    arguments: Mapping[str, Any],
) -> None:
    model = make_filled(algorithm, observations, actions, learning_rate=0.01, **arguments)
    before = read_state(model)
    after = []
    for engine_id in ("torch", "torch_bfloat16"):
        with restoring(model):
            np.random.seed(5)
            torch.manual_seed(5)
            update = get_engine(engine_id).make_update(model)
            assert update is not None
            update(*(() if hasattr(model, "rollout_buffer") else (1, 32)))
            after.append(read_state(model))
    steps = [np.concatenate([(state[name] - before[name]).ravel() for name in before]) for state in after]
    wanted, found = steps
    assert np.abs(wanted).max() > 0
    assert not np.array_equal(wanted, found)
    # Plain gradient descent: the change is the gradient, and bfloat16 rounds each product to three digits.
    assert np.linalg.norm(found - wanted) < 0.1 * np.linalg.norm(wanted)
    assert all(weight.dtype == torch.float32 for weight in model.policy.parameters())


class BrightSide(gymnasium.Env[np.ndarray, int]):
    """One half of the image is brighter; the action that names it is rewarded."""

    observation_space = IMAGE
    action_space = spaces.Discrete(2)

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[np.ndarray, dict[str, Any]]:
        super().reset(seed=seed)
        return self._draw(), {}

    def step(self, action: int) -> tuple[np.ndarray, float, bool, bool, dict[str, Any]]:
        reward = float(action == self._side)
        return self._draw(), reward, True, False, {}

    def _draw(self) -> np.ndarray:
        self._side = int(self.np_random.integers(2))
        image = self.np_random.integers(0, 60, IMAGE.shape, dtype=np.uint8)
        image[:, :, 18 * self._side : 18 * self._side + 18] += 60
        return image


def test_a_model_learns_with_it_and_stays_a_stock_model() -> None:
    model = PPO("CnnPolicy", BrightSide(), n_steps=128, batch_size=64, n_epochs=4, learning_rate=1e-3, seed=0)
    with attaching(model, "torch_bfloat16", get_engine("torch_bfloat16").make_update(model)):
        model.learn(768)
    returns, _ = evaluate_policy(model, BrightSide(), 50, return_episode_rewards=True, warn=False)
    assert np.mean(returns) > 0.9
    assert type(model.policy.features_extractor).__module__.startswith("stable_baselines3")


@pytest.mark.parametrize(
    ("space", "has_instructions", "reason"),
    [
        (
            spaces.Box(-1, 1, (3,)),
            True,
            "its observations are not images or boards, and other networks are not faster in bfloat16",
        ),
        (IMAGE, False, "this cpu has no instructions for bfloat16"),
    ],
)
def test_what_is_not_faster_with_it_is_updated_by_torch(
    space: spaces.Space[Any],
    has_instructions: bool,
    reason: str,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setattr("sb3_ext.engines.torch_engine.has_bfloat16_instructions", lambda: has_instructions)
    model = make_filled(PPO, space, spaces.Discrete(4), **ROLLOUT, batch_size=32)
    with caplog.at_level(logging.WARNING):
        choice = choose_engine("torch_bfloat16", model, num_steps=1e6)
    assert choice.engine.id == "torch"
    assert choice.update is not None
    assert f"engine: torch, since torch_bfloat16 cannot update this model: {reason}" in caplog.text


class NormalizedCNN(BaseFeaturesExtractor):
    def __init__(self, observation_space: spaces.Box) -> None:
        super().__init__(observation_space, 8)
        self.layers = nn.Sequential(nn.Conv2d(3, 2, 8, 4), nn.BatchNorm2d(2), nn.Flatten(), nn.LazyLinear(8))
        self.layers(torch.zeros(1, *observation_space.shape))

    def forward(self, observations: torch.Tensor) -> torch.Tensor:
        features: torch.Tensor = self.layers(observations)
        return features


def test_an_extractor_that_changes_its_own_numbers_is_refused() -> None:
    settings = {**ROLLOUT, "policy_kwargs": {"features_extractor_class": NormalizedCNN}}
    model = make_filled(A2C, IMAGE, spaces.Discrete(4), **settings)
    with pytest.raises(NotCovered, match="its features extractor has buffers, such as the mean of a BatchNorm"):
        get_engine("torch_bfloat16").make_update(model)
