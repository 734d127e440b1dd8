"""Make action noise from a configuration, such as ``{type: normal, std: 0.1}``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from sb3_ext.algorithms.parameter_ranges import NOISE_RANGES
from sb3_ext.problems import Problem, expected, suggest_name

if TYPE_CHECKING:
    from gymnasium import spaces
    from stable_baselines3.common.noise import ActionNoise

NOISE_TYPES = ("normal", "ornstein_uhlenbeck")


def find_noise_problems(noise: Any) -> list[Problem]:
    """
    :param noise: ``action_noise`` of the configuration
    :return: one problem for each mistake
    """
    if not isinstance(noise, Mapping):
        return [Problem((), expected("a mapping such as {type: normal, std: 0.1}", noise))]
    problems = [
        Problem((name,), f"unknown key; {suggest_name(name, ('type', 'std', 'mean'))}")
        for name in noise
        if name not in ("type", "std", "mean")
    ]
    if noise.get("type") not in NOISE_TYPES:
        problems.append(Problem(("type",), expected(" or ".join(NOISE_TYPES), noise.get("type"))))
    for name, default in (("std", None), ("mean", 0.0)):
        value = noise.get(name, default)
        if value not in NOISE_RANGES[name]:
            problems.append(Problem((name,), expected(NOISE_RANGES[name].words, value)))
    return problems


def make_action_noise(noise: Mapping[str, Any], action_space: spaces.Box) -> ActionNoise:
    """
    :param noise: a mapping without problems (see :func:`find_noise_problems`)
    :param action_space: of one environment, shape ``(n,)``; the noise is added to actions scaled to [-1, 1]
    :return: SB3's noise, the same in every dimension
    """
    import numpy as np
    from stable_baselines3.common.noise import NormalActionNoise, OrnsteinUhlenbeckActionNoise

    noise_class = NormalActionNoise if noise["type"] == "normal" else OrnsteinUhlenbeckActionNoise
    shape = action_space.shape
    return noise_class(np.full(shape, float(noise.get("mean", 0.0))), np.full(shape, float(noise["std"])))
