"""Functions compute what modules compute."""

from __future__ import annotations

import pytest
import torch
from gymnasium import spaces
from torch import nn

from sb3_ext.algorithms.board_networks import BoardCNN
from sb3_ext.engines.network_functions import PatchConvolution, make_network_function

PLANES = spaces.Box(0, 1, (2, 6, 7))
MODULES = {
    "mlp": nn.Sequential(nn.Flatten(), nn.Linear(84, 8), nn.Tanh(), nn.Linear(8, 3, bias=False), nn.ReLU()),
    "unknown parts": nn.Sequential(nn.Flatten(), nn.Linear(84, 8), nn.ELU(), nn.LayerNorm(8)),
    "valid convolution": nn.Conv2d(2, 5, 4),
    "padded convolution": nn.Conv2d(2, 5, (3, 2), padding=(1, 2), bias=False),
    "convolution of many channels": nn.Sequential(nn.Conv2d(2, 16, 3), nn.ReLU(), nn.Conv2d(16, 4, 3)),
    "strided convolution": nn.Conv2d(2, 5, 3, stride=2),
    "BoardCNN": BoardCNN(PLANES, 16, channels=(8, 8)),
}


def make_inputs(rows: int) -> torch.Tensor:
    return torch.rand((rows, 2, 6, 7), generator=torch.Generator().manual_seed(rows))


@pytest.mark.parametrize("name", MODULES)
def test_a_function_equals_its_module(name: str) -> None:
    function = make_network_function(MODULES[name])
    with torch.no_grad():
        for rows in (1, 5):
            expected = MODULES[name](make_inputs(rows))
            torch.testing.assert_close(function(make_inputs(rows)), expected, rtol=1e-5, atol=1e-5)


def test_convolutions_of_small_patches_are_products_of_matrices() -> None:
    assert isinstance(make_network_function(nn.Conv2d(2, 5, 4)), PatchConvolution)
    assert not isinstance(make_network_function(nn.Conv2d(16, 5, 4)), PatchConvolution)


def test_a_board_network_reads_the_planes_of_a_dict() -> None:
    network = BoardCNN(spaces.Dict({"action_mask": spaces.MultiBinary(7), "observation": PLANES}), 16)
    observations = {"action_mask": torch.ones(3, 7), "observation": make_inputs(3)}
    with torch.no_grad():
        found, expected = make_network_function(network)(observations), network(observations)
    torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-5)


def test_a_function_follows_a_module_that_learns() -> None:
    module = BoardCNN(PLANES, 16, channels=(8,))
    function = make_network_function(module)
    optimizer = torch.optim.SGD(module.parameters(), lr=0.1)
    module(make_inputs(3)).sum().backward()
    with torch.no_grad():
        before = function(make_inputs(3))
        optimizer.step()
        torch.testing.assert_close(function(make_inputs(3)), module(make_inputs(3)), rtol=1e-5, atol=1e-5)
        assert not torch.equal(before, function(make_inputs(3)))


def test_hooks_are_called() -> None:
    module = nn.Linear(84, 2)
    module.register_forward_hook(lambda module, inputs, outputs: outputs + 100)
    with torch.no_grad():
        assert make_network_function(nn.Sequential(nn.Flatten(), module))(make_inputs(1)).min() > 50
