"""
The schema of a configuration: one frozen, validated object for the whole YAML file.

The classes of the modules ``*_schema.py`` mirror the file, section by section. A default is written there and nowhere
else; an unknown key is an error.
"""

from __future__ import annotations

from typing import Any

from pydantic import Field, field_validator, model_validator

from sb3_ext.algorithms.algorithm_registry import ALGORITHMS
from sb3_ext.config.evaluation_schema import EarlyStoppingConfig, EvalConfig
from sb3_ext.config.fields import Arguments, Device, Normalize, Text, Threads, TrackerArguments, Wrapper
from sb3_ext.config.game_schema import GameConfig
from sb3_ext.config.parallel_schema import ParallelConfig, fill_game_mode
from sb3_ext.config.section import Section
from sb3_ext.config.train_schema import TrainConfig
from sb3_ext.config.tune_schema import TuneConfig
from sb3_ext.engines.engine_registry import AUTO_ENGINE
from sb3_ext.errors import ConfigError
from sb3_ext.ranges import PositiveInt, Seed
from sb3_ext.tracking.tracker_registry import TENSORBOARD

MOCK_ID = "sb3_ext/Mock-v0"
"""The environment that ``--mock-env`` trains in."""


class EnvConfig(Section):
    """A Gymnasium environment and its wrappers."""

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


class AgentConfig(Section):
    """The algorithm and its network."""

    id: Text = Field(description=f"one of {', '.join(ALGORITHMS)}, or module:Name of your own")
    policy: Text | None = Field(default=None, description="SB3 alias or module:Name; null: by the observation space")
    device: Device | None = Field(default="auto", description="auto (or null), cpu, cuda, cuda:1")
    threads: Threads = Field(
        default="auto", description="torch's threads; auto measures at the start whether one or all are faster"
    )
    engine: Text = Field(
        default=AUTO_ENGINE,
        description="what collects rollouts and computes updates: stock (SB3's own code), torch (the same, faster), "
        "torch_bfloat16 (less precise for images and boards), xla (compiled updates; the extra xla) or module:Name; "
        "auto: the fastest of stock, torch and xla in a test at the start",
    )
    params: Arguments = Field(default={}, description="the algorithm's constructor keyword arguments")
    init_from: Text | None = Field(default=None, description="start with the weights of a run, a checkpoint or a zip")

    @property
    def fixed_threads(self) -> int | None:
        """The number of threads; ``None`` if it is measured at the start."""
        return self.threads if isinstance(self.threads, int) else None


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
        """Add TensorBoard, which is on unless it is switched off."""
        return {TENSORBOARD: {}, **trackers}

    @property
    def task_id(self) -> str:
        """The id of the environment or the game."""
        section = self.game or self.env
        assert section is not None, "a configuration has one of the two"
        return section.id

    @property
    def is_mock(self) -> bool:
        """Whether this is the mock environment, in which nothing can be learned."""
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
