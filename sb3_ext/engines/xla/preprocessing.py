"""SB3's preprocessing of observations, inside a program."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from gymnasium import spaces
from stable_baselines3.common.policies import BaseModel
from stable_baselines3.common.preprocessing import is_image_space
from stable_baselines3.common.torch_layers import BaseFeaturesExtractor

from sb3_ext.engines.coverage import NotCovered, name_type
from sb3_ext.engines.xla.layers import Layer, translate
from sb3_ext.engines.xla.tensor_groups import Parameters, TensorGroup

Preprocessing = Callable[[Any], Any]
"""A function of a batch of observations."""


def translate_extractor(model: BaseModel, extractor: BaseFeaturesExtractor, group: TensorGroup) -> Layer:
    """
    Make a function that computes features of observations as ``extract_features`` does.

    :param model: a policy, an actor or a critic
    :param extractor: features extractor of the model
    :param group: group of its parameters
    :return: function from parameters and observations, as stored in buffers, to features
    :raises NotCovered: if the extractor or the observation space is not supported
    """
    prepare = make_preprocessing(model.observation_space, model.normalize_images)
    extract = translate(extractor, group)

    def apply(parameters: Parameters, observations: Any) -> Any:
        return extract(parameters, prepare(observations))

    return apply


def make_preprocessing(space: spaces.Space[Any], normalize_images: bool) -> Preprocessing:
    """
    :param space: observation space
    :param normalize_images: whether images of bytes are divided by 255
    :return: counterpart of SB3's ``preprocess_obs``
    :raises NotCovered: if the space is not supported
    """
    if isinstance(space, spaces.Dict):
        parts = {key: make_preprocessing(part, normalize_images) for key, part in space.spaces.items()}
        return lambda batch: {key: part(batch[key]) for key, part in parts.items()}
    if isinstance(space, spaces.Box):
        divisor = 255.0 if normalize_images and is_image_space(space) else 1.0
        return lambda batch: batch.astype(jnp.float32) / divisor
    if isinstance(space, spaces.MultiBinary):
        return lambda batch: batch.astype(jnp.float32)
    if isinstance(space, spaces.Discrete):
        count = int(space.n)
        return lambda batch: jax.nn.one_hot(batch.astype(jnp.int32), count)
    if isinstance(space, spaces.MultiDiscrete) and space.nvec.ndim == 1:
        counts = [int(count) for count in space.nvec]
        return lambda batch: jnp.concatenate(
            [jax.nn.one_hot(batch[:, place].astype(jnp.int32), count) for place, count in enumerate(counts)], axis=1
        )
    raise NotCovered(f"observations are {name_type(space)}")


def narrow(dtype: Any) -> Any:
    """
    :param dtype: type of numbers
    :return: the type that programs use for them: the same, or a narrower one instead of one of 64 bits
    """
    return {"float64": np.float32, "int64": np.int32, "uint64": np.uint32}.get(np.dtype(dtype).name, dtype)


def shrink(observations: Any) -> Any:
    """
    :param observations: a NumPy array, or a dict of arrays
    :return: the same with 64-bit numbers converted to the narrower types that programs use
    """
    if isinstance(observations, dict):
        return {key: shrink(values) for key, values in observations.items()}
    return observations.astype(narrow(observations.dtype), copy=False)
