"""
What the user asked for: one frozen, validated object for the whole YAML file.

The classes mirror the file, section by section. Every key has its default here; an unknown key is an error.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import Field, field_validator, model_validator

from sb3_ext.algorithms.algorithm_registry import ALGORITHMS
from sb3_ext.config.fields import (
    Arguments,
    Device,
    Duration,
    Flag,
    IllegalMove,
    NonNegative,
    NonNegativeInt,
    Normalize,
    Number,
    Positive,
    PositiveInt,
    Prefix,
    ReturnSource,
    Seed,
    StartPolicy,
    Text,
    Threads,
    TrackerArguments,
    Wrapper,
    parse_duration,
)
from sb3_ext.config.game_schema import POOL_TYPE, GameConfig, OpponentSamplerConfig, PoolConfig
from sb3_ext.config.section import Section
from sb3_ext.config.tune_schema import TuneConfig
from sb3_ext.errors import ConfigError
from sb3_ext.tracking.tracker_registry import TENSORBOARD
from sb3_ext.vec.backends.parallel_modes import AUTO, BUILT_IN
from sb3_ext.vec.worker_split import STEP_TIMEOUT_SECONDS

CHECKPOINT_TYPE = "checkpoint"

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
        default=0, description="workers, subproc: how many that died or hung are replaced, their episodes truncated"
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


class CallbackConfig(Section):
    """One callback besides those that are always there."""

    type: Text = Field(description="a name that `sb3-ext config callbacks` lists, or module:Name of your own")
    enabled: Flag = Field(default=True, description="false leaves it out")
    params: Arguments = Field(default={}, description="keyword arguments of its constructor")


class CheckpointConfig(Section):
    """Parameters of the checkpoints, which are always on: those of the callback of type ``checkpoint``."""

    interval: PositiveInt | None = Field(default=10_000, description="transitions between two checkpoints")
    prefix: Prefix = Field(default="step", description="what their names begin with")
    every_episodes: PositiveInt | None = Field(default=None, description="episodes between two checkpoints")
    every_minutes: Positive | None = Field(default=None, description="minutes between two checkpoints")
    best_by: ReturnSource | None = Field(
        default=None, description="what makes the best: evaluation or training_return; null: whichever there is"
    )
    keep_last: PositiveInt | None = Field(default=3, description="how many of the newest stay; null keeps them all")
    keep_best: PositiveInt = Field(default=1, description="how many of the best stay")
    milestone_steps: PositiveInt | None = Field(default=None, description="the first after each multiple of it stays")
    max_disk_bytes: PositiveInt | None = Field(
        default=None, description="budget for all; best and last two stay anyhow"
    )
    self_test: Flag = Field(default=True, description="try out at the start whether the environments resume exactly")


class TrainConfig(Section):
    """How long to train, and what to do meanwhile."""

    total_steps: PositiveInt | None = Field(default=10_000, description="environment transitions over all environments")
    total_episodes: PositiveInt | None = Field(default=None, description="finished episodes over all environments")
    duration: Duration | None = Field(default=None, description="90s, 10m, 1.5h, or a number of hours")
    deterministic: Flag = Field(default=False, description="deterministic actions while collecting")
    track_timings: Flag = Field(default=False, description="show where the time went, at the end")
    log_every_episodes: PositiveInt = Field(default=10, description="episodes between two entries in the logs")
    status_every_steps: PositiveInt = Field(default=100, description="transitions between two heartbeats")
    start_policy: StartPolicy | None = Field(default=None, description="games: who moves first; null: random")
    opening_plies: NonNegativeInt | None = Field(
        default=None, description="games: they begin with up to so many random moves; null: with none"
    )
    illegal_move: IllegalMove | None = Field(
        default=None, description="games: what becomes of the agent's; null: mask, or random_legal if it cannot mask"
    )
    symmetry: Flag = Field(default=False, description="games: learn from positions as they look in a mirror, too")
    opponent_sampler: OpponentSamplerConfig | None = Field(default=None, description="games: who sits opposite")
    callbacks: list[CallbackConfig] = Field(default=[], description="further callbacks, in the order of their calls")

    @model_validator(mode="before")
    @classmethod
    def _drop_default_bound(cls, data: Any) -> Any:
        """Another bound replaces the default number of steps; a given one stands beside it."""
        has_other_bound = isinstance(data, dict) and (data.get("total_episodes") or data.get("duration"))
        if has_other_bound and "total_steps" not in data:
            return {**data, "total_steps": None}
        return data

    @model_validator(mode="after")
    def _check_bounded(self) -> TrainConfig:
        if self.total_steps is None and self.total_episodes is None and self.duration is None:
            raise ValueError("nothing ends this run; give total_steps, total_episodes or duration")
        return self

    @property
    def checkpoint(self) -> CheckpointConfig:
        """The entry of type ``checkpoint`` among the callbacks; the last one, if there are several."""
        entries = [entry for entry in self.callbacks if entry.type == CHECKPOINT_TYPE]
        return CheckpointConfig.model_validate(entries[-1].params) if entries else CheckpointConfig()

    def with_checkpoint(self) -> TrainConfig:
        """The same, with the entry of type ``checkpoint`` written out, whether there was one or not."""
        entry = CallbackConfig(type=CHECKPOINT_TYPE, params=self.checkpoint.model_dump())
        others = [callback for callback in self.callbacks if callback.type != CHECKPOINT_TYPE]
        return self.model_copy(update={"callbacks": [entry, *others]})

    def with_opponent_sampler(self) -> TrainConfig:
        """The same, with every parameter of a pool of opponents written out."""
        sampler = self.opponent_sampler
        if sampler is None or sampler.type != POOL_TYPE:
            return self
        params = PoolConfig.model_validate(sampler.params).model_dump()
        return self.model_copy(update={"opponent_sampler": sampler.model_copy(update={"params": params})})

    @property
    def duration_seconds(self) -> float | None:
        """The wall-clock bound in seconds."""
        return None if self.duration is None else parse_duration(self.duration)


class EvalEnvConfig(Section):
    """What differs from training in the environments of an evaluation: unseen levels, say."""

    params: Arguments = Field(default={}, description="keyword arguments that replace those of env.params")


class EvalConfig(Section):
    """When and how the agent is judged."""

    every_steps: PositiveInt | None = Field(default=10_000, description="transitions between two evaluations")
    every_episodes: PositiveInt | None = Field(default=None, description="episodes between two evaluations")
    episodes: PositiveInt = Field(default=10, description="episodes of one evaluation")
    max_steps: PositiveInt | None = Field(
        default=30_000, description="truncate an evaluation's episode after this many steps; null: never"
    )
    deterministic: Flag = Field(default=True, description="take the most likely action instead of sampling")
    num_envs: PositiveInt | None = Field(default=None, description="environments; null: one an episode, at most 8")
    background: Flag = Field(default=False, description="evaluate in another process while training goes on")
    env: EvalEnvConfig = EvalEnvConfig()


class TargetConfig(Section):
    """Training has converged: the average return has reached a target and holds it."""

    target_return: Number = Field(alias="return", description="the average to reach")
    by: ReturnSource = Field(default="training_return", description="what is averaged: training_return or evaluation")
    window: PositiveInt = Field(default=20, description="how many episodes, or evaluations, are averaged")
    patience: PositiveInt = Field(
        default=10, description="checks in a row at which it must hold; every episode, or every evaluation, is a check"
    )


class PlateauConfig(Section):
    """Training has stopped improving."""

    by: ReturnSource = Field(default="training_return", description="what is averaged: training_return or evaluation")
    patience: PositiveInt = Field(
        default=50,
        description="checks in a row without an improvement; a check is made after every window of training episodes "
        "(50 of 20 are 1,000 episodes), or after every evaluation",
    )
    min_delta: NonNegative = Field(default=0.0, description="how much better is an improvement")
    in_standard_errors: Flag = Field(default=False, description="min_delta counts standard errors, not returns")
    warm_up: NonNegativeInt = Field(default=0, description="checks at the beginning that do not count towards patience")
    window: PositiveInt = Field(
        default=20, description="how many training episodes are averaged for a check; windows do not overlap"
    )


class EarlyStoppingConfig(Section):
    """When to end before the bounds in the section train."""

    target: TargetConfig | None = Field(default=None, description="stop when converged")
    plateau: PlateauConfig | None = Field(default=None, description="stop without improvement")


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
