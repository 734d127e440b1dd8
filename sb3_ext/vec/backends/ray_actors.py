"""``parallel.mode: ray``."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import gymnasium
from stable_baselines3.common.vec_env import VecEnv

from sb3_ext.errors import ConfigError
from sb3_ext.ranges import NonNegative
from sb3_ext.ray_cluster import RayConnectionError, connect_ray, validate_ray_installed
from sb3_ext.vec.backends.separate_backend import EnvFn
from sb3_ext.vec.backends.workers import WorkersBackend
from sb3_ext.vec.environment_factory import EnvironmentFactory
from sb3_ext.vec.ray_workers.ray_vec_env import RayVecEnv
from sb3_ext.vec.workers.worker_split import STEP_TIMEOUT_SECONDS


class RayBackend(WorkersBackend):
    """
    Step the environments in actors of Ray, several in each, perhaps on other machines.

    :param num_envs: number of environments
    :param num_workers: number of actors; ``None`` for as many as this machine has cores, at most
    :param num_envs_per_worker: ``None``: follows from the other two
    :param step_timeout_seconds: an actor that needs longer for a step is ended; ``None`` waits for ever
    :param max_worker_restarts: how many lost actors are replaced, with their episodes truncated
    :param address: ``HOST:PORT`` of Ray's head, or ``auto`` for the cluster of this machine; ``None``: the environment
        variable ``RAY_ADDRESS``, or a new instance on this machine
    :param cpus_per_worker: CPUs that Ray reserves for an actor
    :raises ConfigError: if the numbers contradict each other
    """

    changeable = WorkersBackend.changeable | {"address", "cpus_per_worker"}
    is_automatic = False
    round_trip_seconds = 2e-3

    def __init__(
        self,
        num_envs: int,
        num_workers: int | None = None,
        num_envs_per_worker: int | None = None,
        step_timeout_seconds: float | None = STEP_TIMEOUT_SECONDS,
        max_worker_restarts: int = 0,
        address: str | None = None,
        cpus_per_worker: NonNegative = 1.0,
    ) -> None:
        super().__init__(num_envs, num_workers, num_envs_per_worker, step_timeout_seconds, max_worker_restarts)
        self._address = address
        self._cpus_per_worker = cpus_per_worker

    def combine(self, env_fns: Sequence[EnvFn]) -> VecEnv:
        self._connect()
        return RayVecEnv(
            env_fns,
            self.num_workers,
            step_timeout_seconds=self._step_timeout_seconds,
            max_worker_restarts=self._max_worker_restarts,
            cpus_per_worker=self._cpus_per_worker,
        )

    def make_sample(self, factory: EnvironmentFactory) -> gymnasium.Env[Any, Any] | VecEnv:
        """
        Connect to Ray, too: a mistake in the address is found before a run starts.

        :param factory: makes one environment
        :raises MissingExtraError: if Ray is not installed
        """
        self._connect()
        return super().make_sample(factory)

    @property
    def name(self) -> str:
        return f"ray {super().name}"

    @property
    def description(self) -> str:
        each = self.num_envs // self.num_workers
        return f"{self.num_workers} actors of {each} environments"

    @classmethod
    def list_variants(cls, factory: EnvironmentFactory, num_envs: int, cores: int) -> list[dict[str, Any]]:
        """Nothing: where actors are is a decision of the user."""
        return []

    def _connect(self) -> None:
        validate_ray_installed("parallel.mode: ray")
        try:
            connect_ray(self._address, num_cpus=max(1, round(self.num_workers * self._cpus_per_worker)))
        except RayConnectionError as error:
            raise ConfigError(f"parallel.params.address: {error}") from error
