"""Training's normalisation statistics for an evaluation: copied as values, and standing still there."""

from __future__ import annotations

from copy import deepcopy
from typing import Any

from stable_baselines3.common.vec_env import VecEnv, VecNormalize, unwrap_vec_normalize


def copy_statistics(normalizer: VecNormalize | None) -> dict[str, Any] | None:
    """
    :param normalizer: training's ``model.get_vec_normalize_env()``
    :return: its statistics as they are now; ``None`` if nothing is normalised
    """
    if normalizer is None:
        return None
    return deepcopy({name: value for name, value in vars(normalizer).items() if name in ("obs_rms", "ret_rms")})


def set_statistics(env: VecEnv, statistics: dict[str, Any] | None) -> None:
    """
    Normalise an evaluation's observations as in training, leave its rewards alone, and let no statistics move.

    :param env: the evaluation's environments
    :param statistics: what :func:`copy_statistics` gave; nothing is done for ``None``
    :raises ValueError: if there are statistics, but the environments have no ``VecNormalize`` to take them
    """
    if statistics is None:
        return
    normalizer = unwrap_vec_normalize(env)
    if normalizer is None:
        raise ValueError("training normalises, but the evaluation's environments have no VecNormalize around them")
    vars(normalizer).update(deepcopy(statistics), training=False, norm_reward=False)
