"""Where the training environments are stepped: the one place that knows what ``parallel.mode`` means."""

from __future__ import annotations

import multiprocessing
from dataclasses import dataclass, field
from typing import Any

from stable_baselines3.common.vec_env import DummyVecEnv, VecEnv

from sb3_ext.config.schema import ParallelConfig
from sb3_ext.vec.worker_split import split_environments
from sb3_ext.vec.workers import WorkerVecEnv


@dataclass(frozen=True)
class VecEnvKind:
    """
    :param vec_env_class: its constructor takes functions that make one environment each
    :param arguments: further arguments of it
    """

    vec_env_class: type[VecEnv]
    arguments: dict[str, Any] = field(default_factory=dict)

    @property
    def has_processes(self) -> bool:
        """Whether the environments are made in other processes."""
        return self.vec_env_class is not DummyVecEnv


def choose_vec_env(parallel: ParallelConfig) -> VecEnvKind:
    """
    :param parallel: the section ``parallel``
    :return: how its mode is carried out
    """
    if parallel.mode in ("subproc", "workers"):
        # Not SB3's SubprocVecEnv: there an environment that fails ends as an EOFError in the training process.
        split = split_environments(parallel.num_envs, parallel.num_workers, parallel.num_envs_per_worker)
        arguments = {
            "num_workers": parallel.num_envs if parallel.mode == "subproc" else split,
            "step_timeout_seconds": parallel.step_timeout_seconds,
            "max_worker_restarts": parallel.max_worker_restarts,
        }
        return VecEnvKind(WorkerVecEnv, arguments)
    return VecEnvKind(DummyVecEnv)


def fill_parallel(parallel: ParallelConfig) -> ParallelConfig:
    """
    :param parallel: the section ``parallel``
    :return: the same with everything that follows from this machine written out: a resume elsewhere goes on with it
    """
    if parallel.mode != "workers":
        return parallel
    workers = choose_vec_env(parallel).arguments["num_workers"]
    return parallel.model_copy(update={"num_workers": workers, "num_envs_per_worker": parallel.num_envs // workers})


def prepare_processes() -> None:
    """Let the server that forks the workers import what they need, once for all."""
    multiprocessing.set_forkserver_preload(["sb3_ext.vec.worker_loop"])
