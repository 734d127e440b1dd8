"""The section ``parallel``: how many environments, and where they are stepped."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import Field, model_validator

from sb3_ext.config.fields import Arguments, Text
from sb3_ext.config.section import Section
from sb3_ext.ranges import NonNegativeInt, Positive, PositiveInt
from sb3_ext.vec.backends.parallel_modes import AUTO, BUILT_IN
from sb3_ext.vec.workers.worker_split import STEP_TIMEOUT_SECONDS

GAME_MODE = "native"
"""``parallel.mode`` of every game: all boards are stepped at once."""


class ParallelConfig(Section):
    """How many environments, and where they are stepped."""

    mode: Text = Field(
        default=AUTO,
        description=f"auto: chosen at the start, and kept; or one of {', '.join(BUILT_IN)}, or module:Name of your own",
    )
    num_envs: PositiveInt = Field(default=1, description="number of environments in all")
    num_workers: PositiveInt | None = Field(
        default=None, description="workers, ray: number of processes; null: as many as cores, at most"
    )
    num_envs_per_worker: PositiveInt | None = Field(
        default=None, description="workers, ray: num_workers x num_envs_per_worker = num_envs"
    )
    step_timeout_seconds: Positive | None = Field(
        default=STEP_TIMEOUT_SECONDS,
        description="workers, subproc, ray: a worker that needs longer for a step is ended; null: no limit",
    )
    max_worker_restarts: NonNegativeInt = Field(
        default=0,
        description="workers, subproc, ray: how many lost workers are replaced; their episodes are truncated",
    )
    params: Arguments = Field(
        default={}, description="other arguments of the mode, such as gymnasium's vectorization_mode"
    )

    @model_validator(mode="before")
    @classmethod
    def _infer_from_workers(cls, data: Any) -> Any:
        """Infer ``mode: workers`` from a given worker count, and the number of environments from both numbers."""
        if not isinstance(data, dict):
            return data
        workers, each = data.get("num_workers"), data.get("num_envs_per_worker")
        inferred: dict[str, Any] = {} if workers is None and each is None else {"mode": "workers"}
        if isinstance(workers, int) and isinstance(each, int):
            inferred["num_envs"] = workers * each
        return {**inferred, **data}

    @property
    def section_settings(self) -> dict[str, Any]:
        """The keys that differ from their defaults, without ``mode``, ``num_envs`` and ``params``."""
        settings = self.model_dump(exclude={"mode", "num_envs", "params"})
        return {name: value for name, value in settings.items() if value != type(self).model_fields[name].default}

    @property
    def settings(self) -> dict[str, Any]:
        """The arguments of the class of the mode, beside ``num_envs``."""
        return {**self.section_settings, **self.params}

    def with_settings(self, settings: Mapping[str, Any]) -> ParallelConfig:
        """
        :param settings: arguments of the class of the mode
        :return: the same section with these, in keys of its own or in ``params``
        """
        own = {name: value for name, value in settings.items() if name in type(self).model_fields}
        params = {name: value for name, value in settings.items() if name not in own}
        return self.model_copy(update={**own, "params": {**self.params, **params}})


def fill_game_mode(data: Mapping[str, Any]) -> Mapping[str, Any]:
    """
    :param data: a whole configuration as plain data
    :return: the same; for a game, with the only mode that games have
    """
    parallel = data.get("parallel", {})
    if data.get("game") is None or not isinstance(parallel, Mapping) or parallel.get("mode", AUTO) != AUTO:
        return data
    return {**data, "parallel": {**parallel, "mode": GAME_MODE}}
