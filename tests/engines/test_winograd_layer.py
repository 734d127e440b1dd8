"""Convolutions by Winograd's algorithm are those of torch in float64, with their gradients."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import nn

from sb3_ext.engines.torch_updates import winograd_layer
from sb3_ext.engines.torch_updates.backpropagation import make_layer
from sb3_ext.engines.torch_updates.convolution_layers import ConvolutionLayer
from sb3_ext.engines.torch_updates.winograd_layer import WinogradLayer

ROWS = 5


def compute_error(module: nn.Conv2d, height: int, width: int, *, by_pixel: bool) -> float:
    """:return: the largest error of outputs and gradients, relative to the largest number of each"""
    generator = torch.Generator().manual_seed(0)
    inputs = torch.rand(ROWS, module.in_channels, height, width, generator=generator)
    if by_pixel:
        inputs = inputs.contiguous(memory_format=torch.channels_last)
    exact, exact_inputs = copy.deepcopy(module).double(), inputs.double().requires_grad_()
    exact_outputs = exact(exact_inputs)
    slopes = torch.randn(exact_outputs.shape, generator=generator)
    exact_outputs.backward(slopes.double())
    layer = make_layer(module)
    with torch.no_grad():
        for weight in module.parameters():
            weight.grad = torch.full_like(weight, torch.nan)
        outputs = layer.forward(inputs)
        gradient = layer.backward(slopes, to_inputs=True)
    pairs = [(outputs, exact_outputs), (gradient, exact_inputs.grad)]
    pairs += [(own.grad, other.grad) for own, other in zip(module.parameters(), exact.parameters(), strict=True)]
    return max(((found - wanted).abs().max() / wanted.abs().max()).item() for found, wanted in pairs)


@pytest.mark.parametrize(
    ("module", "height", "width"),
    [
        pytest.param(nn.Conv2d(64, 64, 3), 6, 6, id="one tile"),
        pytest.param(nn.Conv2d(64, 65, 3, bias=False), 10, 6, id="two tiles, without a bias"),
        pytest.param(nn.Conv2d(32, 64, 4, 2), 15, 14, id="overlapping tiles, and a row that no kernel covers"),
        pytest.param(nn.Conv2d(8, 64, 9, 3), 18, 30, id="stride 3"),
        pytest.param(nn.Conv2d(32, 64, 4, 2), 16, 14, id="outputs that are no whole tiles"),
    ],
)
@pytest.mark.parametrize("by_pixel", [True, False])
def test_outputs_and_gradients(
    module: nn.Conv2d, height: int, width: int, by_pixel: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(winograd_layer, "_PART_BYTES", 300_000)  # parts of some rows, the last one smaller
    assert type(make_layer(module)) is WinogradLayer
    assert compute_error(module, height, width, by_pixel=by_pixel) < 5e-6


@pytest.mark.parametrize(
    "module",
    [
        pytest.param(nn.Conv2d(64, 64, 3, padding=1), id="padding"),
        pytest.param(nn.Conv2d(64, 64, 3, dilation=2), id="dilation"),
        pytest.param(nn.Conv2d(128, 64, 3, groups=2), id="groups"),
        pytest.param(nn.Conv2d(64, 64, 3, 2), id="a kernel that is no multiple of the stride"),
        pytest.param(nn.Conv2d(64, 64, 4), id="four taps"),
        pytest.param(nn.Conv2d(64, 64, (3, 2)), id="a kernel that is no square"),
        pytest.param(nn.Conv2d(64, 64, (6, 6), (3, 2)), id="two strides"),
        pytest.param(nn.Conv2d(3, 32, 8, 4), id="few channels"),
    ],
)
def test_other_convolutions_are_torchs(module: nn.Conv2d) -> None:
    assert type(make_layer(module)) is ConvolutionLayer
    assert compute_error(module, 12, 13, by_pixel=False) < 5e-6
