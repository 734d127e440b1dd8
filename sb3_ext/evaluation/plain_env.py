"""Wrap a Gymnasium environment as the ``VecEnv`` that evaluations need."""

from __future__ import annotations

from typing import Any, TypeAlias

import gymnasium
from stable_baselines3.common.vec_env import VecEnv

from sb3_ext.internals.sb3 import wrap_env

AnyEnv: TypeAlias = VecEnv | gymnasium.Env[Any, Any]


def wrap_plain_env(env: AnyEnv) -> VecEnv:
    """
    Wrap an environment as SB3's algorithms wrap their training environment.

    :param env: a ``VecEnv``, or a single environment
    :return: a ``VecEnv`` unchanged; a single environment in a ``DummyVecEnv``, with a ``Monitor`` unless it has one,
        and with images transposed
    """
    return env if isinstance(env, VecEnv) else wrap_env(env)
