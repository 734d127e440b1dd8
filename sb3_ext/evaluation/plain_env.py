"""A plain Gymnasium environment as the vectorised one that evaluations need."""

from __future__ import annotations

from typing import Any, TypeAlias

import gymnasium
from stable_baselines3.common.vec_env import VecEnv

from sb3_ext.internals.sb3 import wrap_env

AnyEnv: TypeAlias = VecEnv | gymnasium.Env[Any, Any]


def wrap_plain_env(env: AnyEnv) -> VecEnv:
    """
    Wrap a plain environment as SB3's algorithms wrap the one that they train in.

    :param env: a ``VecEnv``, or one environment
    :return: a ``VecEnv`` as it is; an environment in a ``DummyVecEnv``, with a ``Monitor`` unless it has one, and
        images transposed
    """
    return env if isinstance(env, VecEnv) else wrap_env(env)
