"""A ``VecEnv`` whose environments are in actors of Ray."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import gymnasium

from sb3_ext.ray_cluster import connect_ray, validate_ray_installed
from sb3_ext.vec.workers.worker_pool import WorkerPool, pack_env_fns, split_ranks
from sb3_ext.vec.workers.worker_split import STEP_TIMEOUT_SECONDS, split_environments
from sb3_ext.vec.workers.worker_vec_env import WorkerVecEnv


class RayVecEnv(WorkerVecEnv):
    """
    Step environments in actors of Ray, several in each, on this machine or on others::

        env = make_vec_env("CartPole-v1", 32, vec_env_cls=RayVecEnv, vec_env_kwargs={"num_workers": 8})

    The same as :class:`~sb3_ext.vec.workers.worker_vec_env.WorkerVecEnv`, but results are sent as messages instead of
    through shared memory: for environments that take milliseconds. ``Monitor`` files are written on the machines of the
    actors.

    :param env_fns: make one environment each
    :param num_workers: number of actors, which must divide the number of environments; ``None`` for the largest such
        number, at most one for each core of this machine
    :param step_timeout_seconds: an actor that needs longer for an answer is killed; ``None`` waits for ever
    :param max_worker_restarts: how many lost actors are replaced, with their episodes truncated
    :param address: see :func:`~sb3_ext.ray_cluster.connect_ray`
    :param cpus_per_worker: CPUs that Ray reserves for an actor
    :raises ConfigError: as ``WorkerVecEnv``
    :raises MissingExtraError: if Ray is not installed
    :raises RayConnectionError: if the head cannot be reached
    :raises WorkerError: if a worker is lost while it makes its environments
    """

    def __init__(
        self,
        env_fns: Sequence[Callable[[], gymnasium.Env[Any, Any]]],
        num_workers: int | None = None,
        *,
        step_timeout_seconds: float | None = STEP_TIMEOUT_SECONDS,
        max_worker_restarts: int = 0,
        address: str | None = None,
        cpus_per_worker: float = 1.0,
    ) -> None:
        validate_ray_installed("RayVecEnv")
        from sb3_ext.vec.ray_workers.ray_handle import RayHandle

        num_workers = split_environments(len(env_fns), num_workers)
        packed = [(ranks, pack_env_fns(env_fns, ranks)) for ranks in split_ranks(len(env_fns), num_workers)]
        connect_ray(address, num_cpus=max(1, round(num_workers * cpus_per_worker)))
        handles = [
            RayHandle(index, ranks, functions, timeout_seconds=step_timeout_seconds, cpus=cpus_per_worker)
            for index, (ranks, functions) in enumerate(packed)
        ]
        self._use(WorkerPool(handles, len(env_fns), max_restarts=max_worker_restarts))
