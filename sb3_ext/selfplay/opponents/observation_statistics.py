"""Normalise observations with the statistics that a policy was trained with."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from sb3_ext.checkpoints.formats.arrays import Array
from sb3_ext.checkpoints.formats.vecnormalize_file import read_configuration

Normalize: TypeAlias = Callable[[Any], Any]
"""From raw observations (an array or a ``dict`` of arrays) to normalised ones."""


def make_normalize(arrays: Mapping[str, Array] | None) -> Normalize:
    """
    :param arrays: from ``capture_normalization``; ``None`` for a policy without ``VecNormalize``
    :return: ``VecNormalize.normalize_obs`` with these statistics
    """
    if arrays is None:
        return _leave
    configuration = read_configuration(arrays)
    if not configuration["norm_obs"]:
        return _leave
    clip, epsilon = configuration["clip_obs"], configuration["epsilon"]

    def scale(observations: NDArray[Any], name: str) -> NDArray[np.float32]:
        mean, variance = arrays[f"{name}/mean"], arrays[f"{name}/var"]
        scaled: NDArray[np.float32] = np.clip((observations - mean) / np.sqrt(variance + epsilon), -clip, clip)
        return scaled.astype(np.float32)

    def normalize(observations: Any) -> Any:
        if not isinstance(observations, dict):
            return scale(observations, "observations")
        keys = configuration["norm_obs_keys"] or ()
        return {
            key: scale(values, f"observations/{key}") if key in keys else values for key, values in observations.items()
        }

    return normalize


def _leave(observations: Any) -> Any:
    return observations
