"""
The residual network of IMPALA, as in the baselines of Procgen.

Espeholt et al. 2018, "IMPALA: Scalable Distributed Deep-RL with Importance Weighted Actor-Learner Architectures",
arXiv:1802.01561, figure 3 (right), without the recurrent part; Cobbe et al. 2020, arXiv:1912.01588, appendix D.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence

import cloudpickle  # type: ignore[import-untyped]
import torch
from gymnasium import spaces
from stable_baselines3.common.preprocessing import is_image_space
from stable_baselines3.common.torch_layers import BaseFeaturesExtractor
from torch import nn

# SB3 pickles the class of a features extractor into model.zip: with its code, the zip also loads without this package.
cloudpickle.register_pickle_by_value(sys.modules[__name__])


class ImpalaCNN(BaseFeaturesExtractor):
    """
    Three stages of a convolution, a pooling that halves height and width, and two residual blocks; then a linear layer.

    More sample-efficient on images than ``NatureCNN``, and several times slower. In a configuration:
    ``policy_kwargs: {features_extractor_class: ImpalaCNN}``.

    :param observation_space: images of shape (channels, height, width), as SB3's ``VecTransposeImage`` makes them
    :param features_dim: number of features in the output
    :param channels: of each stage
    :param normalized_image: whether the images are floats, rather than bytes from 0 to 255
    :raises ValueError: if the observations are not images
    """

    def __init__(
        self,
        observation_space: spaces.Space[torch.Tensor],
        features_dim: int = 256,
        channels: Sequence[int] = (16, 32, 32),
        normalized_image: bool = False,
    ) -> None:
        super().__init__(observation_space, features_dim)
        if not is_image_space(observation_space, check_channels=False, normalized_image=normalized_image):
            raise ValueError(f"ImpalaCNN is for pictures, but the observation space is {observation_space}")
        assert observation_space.shape is not None, "a space of pictures has a shape"
        inputs, height, width = observation_space.shape
        stages: list[nn.Module] = []
        for outputs in channels:
            stages += [
                nn.Conv2d(inputs, outputs, kernel_size=3, padding=1),
                nn.MaxPool2d(kernel_size=3, stride=2, padding=1),
                ResidualBlock(outputs),
                ResidualBlock(outputs),
            ]
            inputs, height, width = outputs, (height + 1) // 2, (width + 1) // 2
        self.stages = nn.Sequential(*stages, nn.ReLU(), nn.Flatten())
        self.linear = nn.Sequential(nn.Linear(inputs * height * width, features_dim), nn.ReLU())

    def forward(self, observations: torch.Tensor) -> torch.Tensor:
        """
        :param observations: shape (batch, channels, height, width)
        :return: shape (batch, features_dim)
        """
        features: torch.Tensor = self.linear(self.stages(observations))
        return features


class ResidualBlock(nn.Module):
    """
    Two convolutions whose output is added to their input.

    :param channels: of the input and of the output
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.residual = nn.Sequential(
            nn.ReLU(),  # not in place: the sum needs what it changes
            nn.Conv2d(channels, channels, kernel_size=3, padding=1),
            nn.ReLU(inplace=True),
            nn.Conv2d(channels, channels, kernel_size=3, padding=1),
        )

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        """
        :param inputs: shape (batch, channels, height, width)
        :return: the same shape
        """
        outputs: torch.Tensor = inputs + self.residual(inputs)
        return outputs
