"""Write observations into the inputs of networks, as SB3's preprocessing and features extractors do."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from gymnasium import spaces
from numpy.typing import NDArray
from stable_baselines3.common.policies import BaseModel
from stable_baselines3.common.preprocessing import get_flattened_obs_dim, is_image_space, preprocess_obs
from stable_baselines3.common.torch_layers import BaseFeaturesExtractor, CombinedExtractor, FlattenExtractor
from stable_baselines3.common.utils import obs_as_tensor
from torch import nn

from sb3_ext.engines.collecting.layer_programs import Activations, LayerProgram
from sb3_ext.internals.torch import has_hooks

Observations = Any
"""A NumPy array of shape (rows, …), or a ``dict`` of arrays."""

Writer = Callable[[Any], None]
"""A function that writes observations into the inputs of a network."""


class FeatureProgram:
    """
    Computes the features of observations.

    :param model: a policy, an actor or a critic
    :param extractor: its features extractor, in evaluation mode
    :param example: observations of the same shapes as those to come
    :raises NotCovered: if parameters are not 32-bit numbers in the memory of the CPU
    """

    def __init__(self, model: BaseModel, extractor: BaseFeaturesExtractor, example: Observations) -> None:
        self._program = LayerProgram(count_rows(example))
        writer = None if has_hooks(extractor) else self._make_writer(model, extractor)
        if writer is None:
            self._observations = example
            self._model = model
            self.outputs = self._program.add_call(extractor, self._preprocess)
        self._writer = writer

    def __call__(self, observations: Observations) -> None:
        """
        Compute the features.

        :param observations: array of shape (rows, …), or a ``dict`` of these
        """
        if self._writer is not None:
            self._writer(observations)
        else:
            self._observations = observations
            self._program()

    @property
    def calls_modules(self) -> bool:
        """Whether the extractor is called, whose result may depend on ``training``."""
        return self._program.calls_modules

    def _make_writer(self, model: BaseModel, extractor: BaseFeaturesExtractor) -> Writer | None:
        space, rows = model.observation_space, self._program.rows
        if type(extractor) is FlattenExtractor:
            parts: dict[str, spaces.Space[Any]] = {"": space}
        elif (
            type(extractor) is CombinedExtractor
            and isinstance(space, spaces.Dict)
            and all(type(part) is nn.Flatten for part in extractor.extractors.values())
        ):
            parts = {key: space.spaces[key] for key in extractor.extractors}
        else:
            return None
        self.outputs = Activations(rows, extractor.features_dim)
        writers, start = {}, 0
        for key, part in parts.items():
            end = start + get_flattened_obs_dim(part)
            made = _make_part_writer(part, self.outputs.array[:, start:end], model.normalize_images)
            if made is None:
                return None
            writers[key], start = made, end
        if "" in writers:
            return writers[""]

        def write(observations: Any) -> None:
            for key, writer in writers.items():
                writer(observations[key])

        return write

    def _preprocess(self) -> Any:
        tensors = obs_as_tensor(self._observations, "cpu")  # type: ignore[arg-type]
        return preprocess_obs(tensors, self._model.observation_space, normalize_images=self._model.normalize_images)


def count_rows(observations: Observations) -> int:
    """
    :param observations: array of shape (rows, …), or a ``dict`` of these
    :return: number of rows
    """
    array = next(iter(observations.values())) if isinstance(observations, dict) else observations
    return len(array)


def is_batch(observation: Observations, space: spaces.Space[Any]) -> bool:
    """
    :param observation: an observation or several, in any form that SB3's ``predict`` takes
    :param space: observation space of the policy
    :return: whether it is an array of shape (rows, …), or a ``dict`` of these
    """
    if isinstance(space, spaces.Dict):
        return isinstance(observation, dict) and all(
            key in observation and is_batch(observation[key], part) for key, part in space.spaces.items()
        )
    shape: tuple[int, ...] = getattr(observation, "shape", ())
    return len(shape) > 0 and shape[0] > 0 and shape[1:] == space.shape


def _make_part_writer(space: spaces.Space[Any], inputs: NDArray[np.float32], normalize_images: bool) -> Writer | None:
    rows = len(inputs)
    if isinstance(space, spaces.MultiBinary) or (
        isinstance(space, spaces.Box) and not (normalize_images and is_image_space(space))
    ):

        def copy(observations: NDArray[Any]) -> None:
            inputs[...] = observations.reshape(rows, -1)

        return copy
    if isinstance(space, spaces.Discrete):
        counts = [int(space.n)]
    elif isinstance(space, spaces.MultiDiscrete) and space.nvec.ndim == 1:
        counts = [int(count) for count in space.nvec]
    else:
        return None
    offsets = np.cumsum([0, *counts[:-1]])
    places = np.arange(rows)[:, None]

    def set_ones(observations: NDArray[Any]) -> None:
        inputs.fill(0)
        inputs[places, observations.reshape(rows, -1).astype(np.int64, copy=False) + offsets] = 1

    return set_ones
