"""SB3's preprocessing of observations, inside of a program."""

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
    :param extractor: of the model
    :param group: where its parameters are
    :return: of parameters and observations, as the buffers hold them
    :raises NotCovered: if extractor or observations are not known
    """
    prepare = make_preprocessing(model.observation_space, model.normalize_images)
    extract = translate(extractor, group)

    def apply(parameters: Parameters, observations: Any) -> Any:
        return extract(parameters, prepare(observations))

    return apply


def make_preprocessing(space: spaces.Space[Any], normalize_images: bool) -> Preprocessing:
    """
    :param space: of the observations
    :param normalize_images: whether bytes of pictures are divided by 255
    :return: what SB3's ``preprocess_obs`` computes
    :raises NotCovered: if the space is not known
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


def shrink(observations: Any) -> Any:
    """
    :param observations: arrays of NumPy, perhaps in a dict
    :return: the same, wide numbers as the narrower ones that programs use
    """
    if isinstance(observations, dict):
        return {key: shrink(values) for key, values in observations.items()}
    narrow = {"float64": np.float32, "int64": np.int32, "uint64": np.uint32}.get(observations.dtype.name)
    return observations if narrow is None else observations.astype(narrow)
