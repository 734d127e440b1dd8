"""``parallel.mode: sequential``."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from stable_baselines3.common.vec_env import VecEnv

from sb3_ext.interruption import NEVER, Interruption
from sb3_ext.vec.backends.separate_backend import EnvFn, SeparateBackend
from sb3_ext.vec.environment_factory import EnvironmentFactory
from sb3_ext.vec.sequential_vec_env import SequentialVecEnv
from sb3_ext.vec.snapshots.exactness import Exactness, self_test


class SequentialBackend(SeparateBackend):
    """
    Step the environments one after the other in the training process.

    :param num_envs: number of environments
    """

    is_interchangeable = True

    def combine(self, env_fns: Sequence[EnvFn]) -> VecEnv:
        return SequentialVecEnv(list(env_fns))

    def test_exactness(self, factory: EnvironmentFactory, interruption: Interruption = NEVER) -> Exactness:
        """Try a single environment, without a ``VecEnv``."""
        return self_test(factory, interruption=interruption)

    @property
    def name(self) -> str:
        return "sequential"

    @property
    def description(self) -> str:
        return "one environment after the other"

    @classmethod
    def list_variants(cls, factory: EnvironmentFactory, num_envs: int, cores: int) -> list[dict[str, Any]]:
        return [{}]
