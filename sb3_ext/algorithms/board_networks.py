"""A small convolutional network for boards; SB3's ``NatureCNN`` needs images of at least 36 by 36 pixels."""

from __future__ import annotations

import sys
from collections.abc import Sequence

import cloudpickle  # type: ignore[import-untyped]
import torch
from gymnasium import spaces
from stable_baselines3.common.torch_layers import BaseFeaturesExtractor
from torch import nn

# SB3 pickles the class of a features extractor into model.zip: with its code, the zip also loads without this package.
cloudpickle.register_pickle_by_value(sys.modules[__name__])


class BoardCNN(BaseFeaturesExtractor):
    """
    Convolutions over the board, then a linear layer, each followed by a ReLU.

    In a configuration:
    ``policy_kwargs: {features_extractor_class: BoardCNN, features_extractor_kwargs: {channels: [64]}}``.

    :param observation_space: planes of shape (planes, rows, cols), or a ``Dict`` that has them as ``observation``;
        the other parts, such as the mask of legal moves, are not used
    :param features_dim: number of features in the output
    :param channels: of each convolution
    :param kernel_size: of each convolution; at most the shorter side of the board with its padding
    :param padding: empty cells around the board at each convolution
    :raises ValueError: if the observations are not planes
    """

    def __init__(
        self,
        observation_space: spaces.Space[torch.Tensor],
        features_dim: int = 128,
        channels: Sequence[int] = (32, 32),
        kernel_size: int = 3,
        padding: int = 1,
    ) -> None:
        super().__init__(observation_space, features_dim)
        planes = observation_space
        if isinstance(planes, spaces.Dict):
            planes = planes.spaces.get("observation", planes)
        shape = getattr(planes, "shape", None)
        if shape is None or len(shape) != 3:
            raise ValueError(f"BoardCNN is for planes of shape (planes, rows, cols), but the observation is {planes}")
        layers: list[nn.Module] = []
        inputs, rows, cols = shape
        for outputs in channels:
            layers += [nn.Conv2d(inputs, outputs, kernel_size, padding=padding), nn.ReLU()]
            inputs, rows, cols = outputs, rows + 2 * padding - kernel_size + 1, cols + 2 * padding - kernel_size + 1
        if min(rows, cols) < 1:
            raise ValueError(f"BoardCNN: a kernel_size of {kernel_size} is too large for a board of shape {shape}")
        layers += [nn.Flatten(), nn.Linear(inputs * rows * cols, features_dim), nn.ReLU()]
        self.layers = nn.Sequential(*layers)

    def forward(self, observations: torch.Tensor | dict[str, torch.Tensor]) -> torch.Tensor:
        """
        :param observations: shape (batch, planes, rows, cols), or a ``dict`` with these
        :return: shape (batch, features_dim)
        """
        planes = observations["observation"] if isinstance(observations, dict) else observations
        features: torch.Tensor = self.layers(planes)
        return features
