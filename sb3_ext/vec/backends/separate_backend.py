"""Back ends that combine Gymnasium environments."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import gymnasium
from stable_baselines3.common.env_util import make_vec_env
from stable_baselines3.common.vec_env import VecEnv

from sb3_ext.interruption import NEVER, Interruption
from sb3_ext.vec.backends.environment_backend import EnvironmentBackend
from sb3_ext.vec.environment_factory import EnvironmentFactory
from sb3_ext.vec.snapshots.exactness import Exactness, self_test

EnvFn = Callable[[], gymnasium.Env[Any, Any]]


class SeparateBackend(EnvironmentBackend):
    """
    Base of the modes that make each environment on its own, in a ``Monitor``, and combine them.

    :param num_envs: number of environments
    """

    @abstractmethod
    def combine(self, env_fns: Sequence[EnvFn]) -> VecEnv:
        """
        :param env_fns: picklable functions that make one environment each
        :return: the environments
        :raises ConfigError: if they cannot be made
        """

    def make_env(
        self,
        factory: EnvironmentFactory,
        *,
        seed: int | None = None,
        monitor_directory: Path | None = None,
        resumed: bool = False,
    ) -> VecEnv:
        return make_vec_env(
            factory,
            n_envs=self.num_envs,
            seed=seed,
            monitor_dir=None if monitor_directory is None else str(monitor_directory),
            monitor_kwargs={"override_existing": not resumed},
            vec_env_cls=self.combine,  # type: ignore[arg-type]
        )

    def test_exactness(self, factory: EnvironmentFactory, interruption: Interruption = NEVER) -> Exactness:
        """Try a single environment."""
        return self_test(lambda: self.combine([factory]), interruption=interruption)
