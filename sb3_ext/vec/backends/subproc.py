"""``parallel.mode: subproc``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sb3_ext.vec.backends.workers import WorkersBackend
from sb3_ext.vec.environment_factory import EnvironmentFactory
from sb3_ext.vec.workers.worker_split import STEP_TIMEOUT_SECONDS


class SubprocBackend(WorkersBackend):
    """
    Step each environment in a process of its own.

    Not with SB3's ``SubprocVecEnv``: there an environment that fails ends as an ``EOFError`` in the training process.

    :param num_envs: number of environments
    :param step_timeout_seconds: a process that needs longer for a step is ended; ``None`` waits for ever
    :param max_worker_restarts: how many lost processes are replaced, with their episodes truncated
    """

    is_automatic = False

    def __init__(
        self, num_envs: int, step_timeout_seconds: float | None = STEP_TIMEOUT_SECONDS, max_worker_restarts: int = 0
    ) -> None:
        super().__init__(
            num_envs,
            num_envs_per_worker=1,
            step_timeout_seconds=step_timeout_seconds,
            max_worker_restarts=max_worker_restarts,
        )

    @property
    def name(self) -> str:
        return "subproc"

    @property
    def chosen(self) -> Mapping[str, Any]:
        return {}

    @classmethod
    def list_variants(cls, factory: EnvironmentFactory, num_envs: int, cores: int) -> list[dict[str, Any]]:
        """Nothing: it is the variant of ``workers`` with one environment each."""
        return []
