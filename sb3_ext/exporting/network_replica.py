"""What the JavaScript of a page computes, in Python, from the same description: to test it before it is written."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn import functional

from sb3_ext.exporting.observation_source import PredictedBatch

_ACTIVATE: dict[str, Any] = {
    "relu": lambda x, _: torch.relu(x),
    "tanh": lambda x, _: torch.tanh(x),
    "sigmoid": lambda x, _: torch.sigmoid(x),
    "silu": lambda x, _: functional.silu(x),
    "elu": lambda x, layer: functional.elu(x, layer["alpha"]),
    "leaky_relu": lambda x, layer: functional.leaky_relu(x, layer["slope"]),
}


class NetworkReplica:
    """
    The class ``Agent`` of ``network.js``, for batches.

    :param description: from :func:`~sb3_ext.exporting.web_network.describe_network`
    """

    def __init__(self, description: Mapping[str, Any]) -> None:
        self._description = description
        self._frames: NDArray[np.float32] | None = None

    def decide(self, batch: PredictedBatch) -> tuple[NDArray[Any], NDArray[Any] | None]:
        """
        :param batch: observations
        :return: actions, and probabilities or values of all actions, shape ``(batch, actions)``, or ``None``
        """
        observations: Any = batch.observations
        legal = batch.masks
        if isinstance(observations, Mapping):
            legal, observations = np.asarray(observations["action_mask"]) > 0, observations["observation"]
        inputs = self._convert(np.asarray(observations, np.float32).reshape(len(observations), -1), batch.starts)
        if self._description["mask_first"]:
            assert legal is not None, "the policy reads the legal moves"
            inputs = np.concatenate([legal.astype(np.float32), inputs], axis=1)
        with torch.inference_mode():
            numbers = self._compute(torch.from_numpy(np.ascontiguousarray(inputs))).numpy()
        output = self._description["output"]
        if output["kind"] == "continuous":
            low, high = (np.array(output[name], np.float32) for name in ("low", "high"))
            if output["squash"]:
                return low + 0.5 * (numbers + 1) * (high - low), None
            return np.clip(numbers, low, high), None
        scores = numbers.reshape(len(numbers), -1, output["actions"]).mean(axis=1)
        if legal is not None:
            scores = np.where(legal, scores, -np.inf)
        actions = scores.argmax(axis=1)
        if output["kind"] == "probabilities":
            scores = np.exp(scores - scores.max(axis=1, keepdims=True))
            scores /= scores.sum(axis=1, keepdims=True)
        return actions, scores

    def _convert(self, observations: NDArray[np.float32], starts: NDArray[np.bool_]) -> NDArray[np.float32]:
        stack, normalization = self._description["stack"], self._description["normalization"]
        if stack is not None:
            size = observations.shape[1]
            if self._frames is None:
                self._frames = np.zeros((len(observations), size * stack), np.float32)
            self._frames[starts] = 0
            self._frames = np.concatenate([self._frames[:, size:], observations], axis=1)
            observations = self._frames
        if normalization is not None:
            mean, scale = (_decode(normalization[name], "<f8") for name in ("mean", "scale"))
            clip = normalization["clip"]
            observations = np.clip((observations - mean) / scale, -clip, clip).astype(np.float32)
        return observations

    def _compute(self, values: torch.Tensor) -> torch.Tensor:
        for layer in [*self._description["trunk"], *self._description["actor"]]:
            if layer["type"] == "activation":
                values = _ACTIVATE[layer["name"]](values, layer)
                continue
            weights, bias = (torch.from_numpy(_decode(layer[name], "<f4").copy()) for name in ("weights", "bias"))
            if layer["type"] == "linear":
                values = functional.linear(values, weights.view(len(bias), -1), bias)
            else:
                planes = values.view(len(values), layer["channels"], layer["height"], layer["width"])
                filters = weights.view(len(bias), layer["channels"], *layer["kernel"])
                values = functional.conv2d(planes, filters, bias, layer["stride"], layer["padding"]).flatten(1)
        return values


def _decode(text: str, dtype: str) -> NDArray[Any]:
    return np.frombuffer(base64.b64decode(text), dtype=dtype)
