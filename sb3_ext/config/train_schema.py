"""The section ``train``: how long to train, and what goes on beside it."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import Field, model_validator

from sb3_ext.config.callback_schema import (
    CHECKPOINT_TYPE,
    CallbackConfig,
    CallbackEntry,
    CheckpointCallbackConfig,
    CheckpointParams,
)
from sb3_ext.config.curriculum_schema import StageConfig
from sb3_ext.config.fields import Duration, Flag, OneOf, parse_duration
from sb3_ext.config.game_schema import (
    IllegalMove,
    LookaheadConfig,
    OpponentEntry,
    StartPolicy,
    StartPositionsConfig,
)
from sb3_ext.config.section import Section
from sb3_ext.ranges import NonNegativeInt, PositiveInt


class TrainConfig(Section):
    """How long to train, and what goes on beside it."""

    total_steps: PositiveInt | None = Field(default=10_000, description="environment transitions over all environments")
    total_episodes: PositiveInt | None = Field(default=None, description="finished episodes over all environments")
    duration: Duration | None = Field(default=None, description="90s, 10m, 1.5h, or a number of hours")
    deterministic: Flag = Field(default=False, description="take deterministic actions while collecting")
    track_timings: Flag = Field(default=False, description="show the time spent in each phase, at the end")
    log_every_episodes: PositiveInt = Field(default=10, description="episodes between two entries in the log")
    status_every_steps: PositiveInt = Field(default=100, description="transitions between two heartbeats")
    start_policy: Annotated[StartPolicy, OneOf()] | None = Field(
        default=None, description="games: who moves first; null: random"
    )
    opening_plies: NonNegativeInt | None = Field(
        default=None, description="games: most random moves at the start of each; null: none"
    )
    start_positions: StartPositionsConfig | None = Field(
        default=None, description="games: start some in the middle of another game; null: none"
    )
    illegal_move: Annotated[IllegalMove, OneOf()] | None = Field(
        default=None,
        description="games: how illegal moves of the agent are handled; null: mask, or random_legal if it cannot mask",
    )
    symmetry: Flag = Field(default=False, description="games: also learn from mirror images of positions")
    lookahead: LookaheadConfig | None = Field(
        default=None, description="games: ppo and maskable_ppo learn from the values of all moves; null: from one game"
    )
    opponent_sampler: OpponentEntry | None = Field(default=None, description="games: the opponent")
    curriculum: list[StageConfig] = Field(
        default=[], description="stages that change the environment when a rule holds, from easy to hard for example"
    )
    callbacks: list[CallbackEntry] = Field(default=[], description="further callbacks, in the order of their calls")

    @model_validator(mode="before")
    @classmethod
    def _drop_default_bound(cls, data: Any) -> Any:
        """Drop the default of ``total_steps`` if there is another bound."""
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
    def checkpoint(self) -> CheckpointParams:
        """Parameters of the last entry of type ``checkpoint``; the defaults if there is none."""
        entries = [entry for entry in self.callbacks if isinstance(entry, CheckpointCallbackConfig)]
        return entries[-1].params if entries else CheckpointParams()

    @property
    def other_callbacks(self) -> list[CallbackConfig]:
        """The other entries, in their order."""
        return [entry for entry in self.callbacks if isinstance(entry, CallbackConfig)]

    def with_checkpoint(self) -> TrainConfig:
        """The same, with exactly one entry of type ``checkpoint``, the first one."""
        entry = CheckpointCallbackConfig(type=CHECKPOINT_TYPE, params=self.checkpoint)
        return self.model_copy(update={"callbacks": [entry, *self.other_callbacks]})

    @property
    def duration_seconds(self) -> float | None:
        """The wall-clock bound in seconds."""
        return None if self.duration is None else parse_duration(self.duration)
