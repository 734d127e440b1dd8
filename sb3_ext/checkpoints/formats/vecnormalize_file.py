"""``vecnormalize.npz``: the state of a ``VecNormalize``, including its running returns, without pickles."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import numpy as np
from stable_baselines3.common.running_mean_std import RunningMeanStd
from stable_baselines3.common.vec_env import VecNormalize

from sb3_ext.checkpoints.formats.arrays import Array
from sb3_ext.errors import CheckpointError

_CONFIGURATION = ("norm_obs", "norm_reward", "clip_obs", "clip_reward", "gamma", "epsilon", "norm_obs_keys", "training")


def capture_normalization(normalize: VecNormalize) -> dict[str, Array]:
    """
    :param normalize: the wrapper
    :return: copies: ``configuration`` (JSON), ``returns`` of shape ``(num_envs,)``, and for every statistic ``mean``,
        ``var`` and ``count`` as float64
    """
    configuration = {name: getattr(normalize, name) for name in _CONFIGURATION}
    arrays = {"configuration": np.array(json.dumps(configuration)), "returns": normalize.returns.copy()}
    for name, statistic in _list_statistics(normalize).items():
        arrays[f"{name}/mean"] = np.array(statistic.mean)
        arrays[f"{name}/var"] = np.array(statistic.var)
        arrays[f"{name}/count"] = np.array(statistic.count, np.float64)
    return arrays


def restore_normalization(normalize: VecNormalize, arrays: Mapping[str, Array]) -> None:
    """
    Restore statistics and configuration exactly, and running returns if the number of environments is the same.

    :param normalize: a wrapper around environments with the same observation space
    :param arrays: from :func:`capture_normalization`
    :raises CheckpointError: if they do not fit the wrapper, which is then unchanged
    """
    statistics = _list_statistics(normalize)
    found = {key.rpartition("/")[0] for key in arrays if "/" in key}
    if found != set(statistics):
        raise CheckpointError(f"vecnormalize.npz has statistics of {sorted(found)}, expected {sorted(statistics)}")
    for name, statistic in statistics.items():
        shape, expected = arrays[f"{name}/mean"].shape, np.shape(statistic.mean)
        if not shape == arrays[f"{name}/var"].shape == expected:
            raise CheckpointError(f"vecnormalize.npz: {name} has shape {shape}, expected {expected}")
    configuration = read_configuration(arrays)
    for name, statistic in statistics.items():
        statistic.mean = arrays[f"{name}/mean"].copy()
        statistic.var = arrays[f"{name}/var"].copy()
        statistic.count = float(arrays[f"{name}/count"])
    vars(normalize).update(configuration)
    if arrays["returns"].shape == normalize.returns.shape:
        normalize.returns = arrays["returns"].copy()


def read_configuration(arrays: Mapping[str, Array]) -> dict[str, Any]:
    """
    :param arrays: from :func:`capture_normalization`
    :return: keyword arguments of ``VecNormalize``
    :raises CheckpointError: if they are missing or invalid
    """
    try:
        configuration = json.loads(str(arrays["configuration"]))
        if set(configuration) != set(_CONFIGURATION):
            raise KeyError(", ".join(configuration))
    except (KeyError, TypeError, ValueError) as error:
        raise CheckpointError(f"vecnormalize.npz has no usable configuration ({type(error).__name__})") from error
    return dict(configuration)


def _list_statistics(normalize: VecNormalize) -> dict[str, RunningMeanStd]:
    observations = getattr(normalize, "obs_rms", {})
    if isinstance(observations, RunningMeanStd):
        return {"observations": observations, "returns": normalize.ret_rms}
    named = {f"observations/{key}": statistic for key, statistic in observations.items()}
    return {**named, "returns": normalize.ret_rms}
