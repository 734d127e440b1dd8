"""The IMPALA network: its layers, its name in configurations, and loading without pickled code."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from gymnasium import spaces
from stable_baselines3 import PPO
from stable_baselines3.common.envs import FakeImageEnv

from sb3_ext.algorithms.classes import find_named_class
from sb3_ext.algorithms.impala import ImpalaCNN
from sb3_ext.checkpoints.model.architecture import describe_model, find_class

IMAGES = spaces.Box(0, 255, (3, 64, 64), np.uint8)
TINY = {
    "features_extractor_class": ImpalaCNN,
    "features_extractor_kwargs": {"features_dim": 4, "channels": [2, 2]},
    "net_arch": [],
}


def make_model() -> PPO:
    return PPO(
        "CnnPolicy", FakeImageEnv(screen_height=36, screen_width=36), policy_kwargs=TINY, n_steps=4, batch_size=4
    )


def test_the_network_equals_that_of_the_papers() -> None:
    network = ImpalaCNN(IMAGES)
    convolutions = [module for module in network.modules() if isinstance(module, torch.nn.Conv2d)]

    assert len(convolutions) == 15
    assert [module.out_channels for module in convolutions[::5]] == [16, 32, 32]
    assert network.linear[0].in_features == 32 * 8 * 8
    assert sum(parameter.numel() for parameter in network.parameters()) == 622_144
    assert network(torch.rand(5, 3, 64, 64)).shape == (5, 256)


def test_a_residual_block_with_zero_weights_is_the_identity() -> None:
    block = ImpalaCNN(IMAGES).stages[2]
    for parameter in block.parameters():
        torch.nn.init.zeros_(parameter)
    inputs = torch.randn(2, 16, 8, 8)

    assert torch.equal(block(inputs), inputs)


def test_odd_sizes_are_halved_and_rounded_up() -> None:
    assert ImpalaCNN(spaces.Box(0, 255, (3, 37, 45), np.uint8))(torch.rand(1, 3, 37, 45)).shape == (1, 256)


def test_observations_other_than_images_are_refused() -> None:
    with pytest.raises(ValueError, match="ImpalaCNN is for pictures"):
        ImpalaCNN(spaces.Box(-1, 1, (4,)))


def test_a_configuration_finds_it_by_its_name() -> None:
    assert find_named_class("ImpalaCNN") is ImpalaCNN
    assert find_class("ImpalaCNN") is ImpalaCNN
    described = describe_model(make_model())
    assert described.policy_arguments["features_extractor_class"] == "ImpalaCNN"
    assert described.own_code == []


def test_the_zip_loads_where_this_package_is_not_installed(tmp_path: Path) -> None:
    model = make_model()
    model.learn(8)
    observation = model.observation_space.sample()
    np.save(tmp_path / "observation.npy", observation)
    model.save(tmp_path / "model.zip")
    code = """
import sys
sys.modules["sb3_ext"] = None
import numpy as np
from stable_baselines3 import PPO
model = PPO.load("model.zip")
print(model.predict(np.load("observation.npy"), deterministic=True)[0])
model.save("again.zip")
"""
    found = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=False)

    assert found.stdout.strip() == str(model.predict(observation, deterministic=True)[0]), found.stderr
