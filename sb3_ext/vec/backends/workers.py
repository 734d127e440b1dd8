"""``parallel.mode: workers``."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from stable_baselines3.common.vec_env import VecEnv

from sb3_ext.interruption import NEVER, Interruption
from sb3_ext.vec.backends.memory_part import MemoryPart
from sb3_ext.vec.backends.separate_backend import EnvFn, SeparateBackend
from sb3_ext.vec.environment_factory import EnvironmentFactory
from sb3_ext.vec.process_lifetime import preload_workers
from sb3_ext.vec.snapshots.exactness import Exactness, self_test
from sb3_ext.vec.workers.worker_split import STEP_TIMEOUT_SECONDS, split_environments
from sb3_ext.vec.workers.worker_support import can_run_workers, validate_workers_can_run
from sb3_ext.vec.workers.worker_vec_env import WorkerVecEnv

_PROCESS_BYTES = 24 * 2**20  # of a forked worker, beside what it shares with the others
_MAX_VARIANTS = 4


class WorkersBackend(SeparateBackend):
    """
    Step the environments in worker processes, several in each.

    :param num_envs: number of environments
    :param num_workers: number of processes; ``None`` for as many as there are cores, at most
    :param num_envs_per_worker: ``None``: follows from the other two
    :param step_timeout_seconds: a worker that needs longer for a step is ended; ``None`` waits for ever
    :param max_worker_restarts: how many lost workers are replaced, with their episodes truncated
    :raises ConfigError: if the numbers contradict each other
    """

    changeable = frozenset({"step_timeout_seconds", "max_worker_restarts"})
    is_interchangeable = True
    is_automatic = can_run_workers()
    round_trip_seconds = 200e-6  # zoo_scripts/benchmark_vec_envs.py measures it
    start_seconds = 5.0

    def __init__(
        self,
        num_envs: int,
        num_workers: int | None = None,
        num_envs_per_worker: int | None = None,
        step_timeout_seconds: float | None = STEP_TIMEOUT_SECONDS,
        max_worker_restarts: int = 0,
    ) -> None:
        validate_workers_can_run()
        super().__init__(num_envs)
        self.num_workers = split_environments(num_envs, num_workers, num_envs_per_worker)
        self._memory_key = "parallel.num_envs" if num_workers is None else "parallel.num_workers"
        self._step_timeout_seconds = step_timeout_seconds
        self._max_worker_restarts = max_worker_restarts

    def combine(self, env_fns: Sequence[EnvFn]) -> VecEnv:
        return WorkerVecEnv(
            env_fns,
            self.num_workers,
            step_timeout_seconds=self._step_timeout_seconds,
            max_worker_restarts=self._max_worker_restarts,
        )

    def make_env(
        self,
        factory: EnvironmentFactory,
        *,
        seed: int | None = None,
        monitor_directory: Path | None = None,
        resumed: bool = False,
    ) -> VecEnv:
        factory().close()  # a mistake shows here as itself, not as a closed pipe
        preload_workers()
        return super().make_env(factory, seed=seed, monitor_directory=monitor_directory, resumed=resumed)

    def test_exactness(self, factory: EnvironmentFactory, interruption: Interruption = NEVER) -> Exactness:
        """Try an environment in a worker: it may hang or end its process."""
        timeout_seconds = self._step_timeout_seconds
        return self_test(
            lambda: WorkerVecEnv([factory], 1, step_timeout_seconds=timeout_seconds), interruption=interruption
        )

    @property
    def chosen(self) -> Mapping[str, Any]:
        return _name_split(self.num_envs, self.num_workers)

    def estimate_memory(self, env_bytes: int, noun: str = "environments") -> list[MemoryPart]:
        [environments] = super().estimate_memory(env_bytes, noun)
        name, size_bytes = f"{self.num_workers:,} processes", self.num_workers * _PROCESS_BYTES
        return [
            replace(environments, is_own=False),
            MemoryPart(self._memory_key, name, size_bytes, is_own=False, is_filled_at_once=True),
        ]

    @property
    def name(self) -> str:
        return f"{self.num_workers} x {self.num_envs // self.num_workers}"

    @property
    def description(self) -> str:
        return f"{self.num_workers} workers of {self.num_envs // self.num_workers} environments"

    @property
    def concurrency(self) -> int:
        return self.num_workers

    @classmethod
    def list_variants(cls, factory: EnvironmentFactory, num_envs: int, cores: int) -> list[dict[str, Any]]:
        """
        List what ``sb3-ext advise`` measures.

        :return: numbers of workers that share the environments evenly: those nearest to the number of cores, and never
            many more than that
        """
        if not can_run_workers():
            return []
        most = min(num_envs, max(2, 2 * cores))
        fitting = [workers for workers in range(2, most + 1) if num_envs % workers == 0]
        nearest = sorted(fitting, key=lambda workers: abs(math.log(workers / cores)))[:_MAX_VARIANTS]
        return [_name_split(num_envs, workers) for workers in sorted(nearest)]


def _name_split(num_envs: int, num_workers: int) -> dict[str, Any]:
    return {"num_workers": num_workers, "num_envs_per_worker": num_envs // num_workers}
