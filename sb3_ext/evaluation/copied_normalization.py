"""Copy the normalisation statistics of training for an evaluation, which does not update them."""

from __future__ import annotations

from copy import deepcopy
from typing import Any

from stable_baselines3.common.vec_env import VecEnv, VecNormalize, unwrap_vec_normalize


def copy_statistics(normalizer: VecNormalize | None) -> dict[str, Any] | None:
    """
    :param normalizer: training's ``model.get_vec_normalize_env()``
    :return: its current statistics; ``None`` if nothing is normalised
    """
    if normalizer is None:
        return None
    return deepcopy({name: value for name, value in vars(normalizer).items() if name in ("obs_rms", "ret_rms")})


def set_statistics(env: VecEnv, statistics: dict[str, Any] | None) -> None:
    """
    Normalise the observations of an evaluation as in training. Rewards are not normalised, and statistics not updated.

    :param env: environments of the evaluation
    :param statistics: from :func:`copy_statistics`; ``None`` does nothing
    :raises ValueError: if there are statistics, but the environments have no ``VecNormalize``
    """
    if statistics is None:
        return
    normalizer = unwrap_vec_normalize(env)
    if normalizer is None:
        raise ValueError("training normalises, but the evaluation's environments have no VecNormalize around them")
    vars(normalizer).update(deepcopy(statistics), training=False, norm_reward=False)
