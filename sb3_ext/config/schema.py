"""
What the user asked for: one frozen, validated object for the whole YAML file.

The classes mirror the file, section by section. Every key has its default here; an unknown key is an error.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import Field, field_validator, model_validator

from sb3_ext.algorithms.algorithm_registry import ALGORITHMS
from sb3_ext.config.evaluation_schema import EarlyStoppingConfig, EvalConfig
from sb3_ext.config.fields import Arguments, Device, Normalize, Text, Threads, TrackerArguments, Wrapper
from sb3_ext.config.game_schema import GameConfig
from sb3_ext.config.section import Section
from sb3_ext.config.train_schema import TrainConfig
from sb3_ext.config.tune_schema import TuneConfig
from sb3_ext.errors import ConfigError
from sb3_ext.ranges import NonNegativeInt, Positive, PositiveInt, Seed
from sb3_ext.tracking.tracker_registry import TENSORBOARD
from sb3_ext.vec.backends.parallel_modes import AUTO, BUILT_IN
from sb3_ext.vec.workers.worker_split import STEP_TIMEOUT_SECONDS

MOCK_ID = "sb3_ext/Mock-v0"
"""The environment that ``--mock-env`` puts in the place of another."""

GAME_MODE = "native"
"""``parallel.mode`` of every game: all boards are stepped at once."""


class EnvConfig(Section):
    """A Gymnasium environment and what is put around it."""

    id: Text = Field(description="Gymnasium id; 'module:Name-v0' imports the module first")
    params: Arguments = Field(default={}, description="keyword arguments of the environment's constructor")
    max_steps: PositiveInt | None = Field(default=None, description="truncate episodes after this many steps")
    wrappers: list[Wrapper] = Field(
        default=[], description="'module.Class' or {module.Class: {kwargs}}, innermost first"
    )
    normalize: Normalize = Field(
        default=False, description="true, or VecNormalize's arguments; gamma follows agent.params"
    )
    frame_stack: PositiveInt | None = Field(default=None, description="number of observations stacked by VecFrameStack")


class ParallelConfig(Section):
    """How many environments, and where they are stepped."""

    mode: Text = Field(
        default=AUTO,
        description=f"auto: chosen at the start, and kept; or one of {', '.join(BUILT_IN)}, or module:Name of your own",
    )
    num_envs: PositiveInt = Field(default=1, description="number of environments in all")
    num_workers: PositiveInt | None = Field(
        default=None, description="workers: number of processes; null: as many as cores, at most"
    )
    num_envs_per_worker: PositiveInt | None = Field(
        default=None, description="workers: num_workers x num_envs_per_worker = num_envs"
    )
    step_timeout_seconds: Positive | None = Field(
        default=STEP_TIMEOUT_SECONDS,
        description="workers, subproc: a process that needs longer for a step is ended; null: none is",
    )
    max_worker_restarts: NonNegativeInt = Field(
        default=0,
        description="workers, subproc: how many that died or hung are replaced, their episodes truncated",
    )
    params: Arguments = Field(default={}, description="of a mode of your own: keyword arguments of its class")

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
        """What the class of the mode is made with, beside ``num_envs``."""
        return {**self.section_settings, **self.params}

    def with_settings(self, settings: Mapping[str, Any]) -> ParallelConfig:
        """
        :param settings: arguments of the class of the mode
        :return: the same section with these, in keys of its own or in ``params``
        """
        own = {name: value for name, value in settings.items() if name in type(self).model_fields}
        params = {name: value for name, value in settings.items() if name not in own}
        return self.model_copy(update={**own, "params": {**self.params, **params}})


class AgentConfig(Section):
    """The algorithm and its network."""

    id: Text = Field(description=f"one of {', '.join(ALGORITHMS)}, or module:Name of your own")
    policy: Text | None = Field(default=None, description="SB3 alias or module:Name; null: by the observation space")
    device: Device | None = Field(default="auto", description="auto (or null), cpu, cuda, cuda:1")
    threads: Threads = Field(default="auto", description="torch's threads; auto measures one against all at the start")
    params: Arguments = Field(default={}, description="the algorithm's constructor keyword arguments")
    init_from: Text | None = Field(default=None, description="begin with the weights of a run, a checkpoint or a zip")


class RunConfig(Section):
    """A whole run."""

    seed: Seed | None = Field(default=None, description="fixes all random state; null: different every time")
    env: EnvConfig | None = Field(default=None, description="a Gymnasium environment, or else game")
    game: GameConfig | None = Field(default=None, description="a two-player game, or else env")
    parallel: ParallelConfig = ParallelConfig()
    agent: AgentConfig
    train: TrainConfig = TrainConfig()
    eval: EvalConfig = EvalConfig()
    early_stopping: EarlyStoppingConfig = EarlyStoppingConfig()
    tracking: dict[Text, TrackerArguments] = Field(
        default={TENSORBOARD: {}},
        description="tracker -> its keyword arguments; null switches it off. A name, or module:Name of your own",
    )
    tune: TuneConfig | None = Field(default=None, description="for `sb3-ext tune`")

    @model_validator(mode="before")
    @classmethod
    def _fill_game_mode(cls, data: Any) -> Any:
        return fill_game_mode(data) if isinstance(data, dict) else data

    @field_validator("tracking", mode="after")
    @classmethod
    def _add_tensorboard(cls, trackers: dict[str, Any]) -> dict[str, Any]:
        """TensorBoard is on unless it is switched off."""
        return {TENSORBOARD: {}, **trackers}

    @property
    def task_id(self) -> str:
        """Of the environment or the game."""
        section = self.game or self.env
        assert section is not None, "one of both is there"
        return section.id

    @property
    def is_mock(self) -> bool:
        """Whether the environment is noise, so that nothing can be learned in it."""
        return self.env is not None and self.env.id == MOCK_ID

    def require_env(self, feature: str) -> EnvConfig:
        """
        :param feature: what needs a Gymnasium environment
        :return: the section ``env``
        :raises ConfigError: if this is a game
        """
        if self.env is None:
            raise ConfigError(f"{feature} needs an environment, but this configuration is of the game {self.task_id}")
        return self.env


def fill_game_mode(data: Mapping[str, Any]) -> Mapping[str, Any]:
    """
    :param data: a whole configuration as plain data
    :return: the same, with the only mode there is if it has a game
    """
    parallel = data.get("parallel", {})
    if data.get("game") is None or not isinstance(parallel, Mapping) or parallel.get("mode", AUTO) != AUTO:
        return data
    return {**data, "parallel": {**parallel, "mode": GAME_MODE}}
