"""Features of observations, with gradients."""

from __future__ import annotations

from typing import Any

import torch
from stable_baselines3.common.policies import BaseModel
from stable_baselines3.common.preprocessing import is_image_space, preprocess_obs
from stable_baselines3.common.torch_layers import BaseFeaturesExtractor

from sb3_ext.algorithms.board_networks import BoardCNN
from sb3_ext.engines.coverage import NotCovered
from sb3_ext.engines.torch_updates.backpropagation import ChainLayer, make_layer
from sb3_ext.engines.torch_updates.bfloat16_layer import Bfloat16Layer
from sb3_ext.engines.torch_updates.convolution_layers import ConvolutionLayer

Tensor = torch.Tensor


class FeatureLayer:
    """
    Compute features of observations as SB3's ``extract_features`` does.

    :param model: a policy, an actor or a critic
    :param extractor: features extractor of the model
    :param is_trained: whether gradients are needed
    """

    def __init__(self, model: BaseModel, extractor: BaseFeaturesExtractor, *, is_trained: bool = True) -> None:
        self._space, self._normalizes = model.observation_space, model.normalize_images
        self._extractor, self._needs_gradients = extractor, is_trained
        self._layer = ChainLayer([make_layer(extractor, is_trained=is_trained)])
        self._move_scale()

    @property
    def is_trained(self) -> bool:
        """Whether the extractor has weights."""
        return self._layer.is_trained

    def use_bfloat16(self) -> None:
        """
        Compute in bfloat16 from now on.

        :raises NotCovered: if that is not faster, or not possible
        """
        if not is_image_space(self._space) and type(self._extractor) is not BoardCNN:
            raise NotCovered("its observations are not images or boards, and other networks are not faster in bfloat16")
        self._layer = Bfloat16Layer(self._extractor, is_trained=self._needs_gradients)
        self._move_scale()

    def _move_scale(self) -> None:
        """Let a first convolution scale its weights, of which there are fewer than pixels."""
        first = self._layer.layers[0]
        self._is_scaled_later = False
        if type(first) is ConvolutionLayer and self._normalizes and is_image_space(self._space):
            first.input_scale, self._is_scaled_later = 1 / 255, True

    def forward(self, observations: Any) -> Tensor:
        """
        :param observations: as stored in buffers
        :return: features, shape (batch, features)
        """
        if not self._is_scaled_later:
            observations = preprocess_obs(observations, self._space, normalize_images=self._normalizes)
        return self._layer.forward(observations)

    def backward(self, slopes: Tensor) -> None:
        """
        Write the gradients of a loss after :meth:`forward`.

        :param slopes: gradient with respect to the features
        """
        self._layer.backward(slopes)
