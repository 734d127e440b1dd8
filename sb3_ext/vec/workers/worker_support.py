"""Whether this system can run :class:`~sb3_ext.vec.workers.worker_vec_env.WorkerVecEnv`."""

from __future__ import annotations

import select
import socket

from sb3_ext.errors import ConfigError


def can_run_workers() -> bool:
    """:return: whether processes can exchange descriptors of shared memory, which Windows cannot"""
    return hasattr(socket, "send_fds") and hasattr(select, "poll")


def validate_workers_can_run() -> None:
    """:raises ConfigError: if they cannot"""
    if not can_run_workers():
        raise ConfigError(
            "workers cannot share memory on this system: use parallel.mode subproc (SubprocVecEnv) or sequential"
        )
