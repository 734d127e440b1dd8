"""Back ends that make all environments at once."""

from __future__ import annotations

from abc import abstractmethod
from pathlib import Path
from typing import Any

import gymnasium
from stable_baselines3.common.vec_env import VecEnv

from sb3_ext.interruption import NEVER, Interruption
from sb3_ext.vec.backends.environment_backend import EnvironmentBackend
from sb3_ext.vec.environment_factory import EnvironmentFactory
from sb3_ext.vec.monitor_files import make_vec_monitor
from sb3_ext.vec.snapshots.exactness import Exactness, self_test


class BatchBackend(EnvironmentBackend):
    """
    Base of the modes whose environments come as one ``VecEnv``, around which a ``VecMonitor`` goes.

    :param num_envs: number of environments
    """

    @abstractmethod
    def make_batch(self, factory: EnvironmentFactory, num_envs: int) -> VecEnv:
        """
        :param factory: of one environment
        :param num_envs: how many
        :return: all of them
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
        """Write all episodes to one file, ``0.monitor.csv``."""
        env = self.make_batch(factory, self.num_envs)
        if seed is not None:
            env.seed(seed)
        return make_vec_monitor(env, None if monitor_directory is None else monitor_directory / "0", resumed)

    def make_eval_env(
        self,
        factory: EnvironmentFactory,
        num_envs: int,
        *,
        wrapper_class: type[gymnasium.Wrapper[Any, Any, Any, Any]] | None = None,
    ) -> VecEnv:
        """Make environments that are shown one by one, others as a batch."""
        if factory.render_mode is not None:
            return super().make_eval_env(factory, num_envs, wrapper_class=wrapper_class)
        return make_vec_monitor(self.make_batch(factory, num_envs))

    def make_sample(self, factory: EnvironmentFactory) -> gymnasium.Env[Any, Any] | VecEnv:
        return self.make_batch(factory, 1)

    def test_exactness(self, factory: EnvironmentFactory, interruption: Interruption = NEVER) -> Exactness:
        """Try all environments together."""
        return self_test(lambda: self.make_batch(factory, self.num_envs), interruption=interruption)
