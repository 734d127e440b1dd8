"""The entries of ``train.callbacks``."""

from __future__ import annotations

from typing import Annotated, Literal, TypeAlias

from pydantic import AfterValidator, Field

from sb3_ext.config.entry import OTHER, by_type, tag
from sb3_ext.config.evaluation_schema import ReturnSource
from sb3_ext.config.fields import Arguments, Flag, OneOf, Prefix, Text
from sb3_ext.config.section import Section
from sb3_ext.ranges import Positive, PositiveInt

CHECKPOINT_TYPE: Literal["checkpoint"] = "checkpoint"


class CheckpointParams(Section):
    """Parameters of the callback of type ``checkpoint``."""

    interval: PositiveInt | None = Field(default=10_000, description="transitions between two checkpoints")
    prefix: Prefix = Field(default="step", description="prefix of the checkpoints' names")
    every_episodes: PositiveInt | None = Field(default=None, description="episodes between two checkpoints")
    every_minutes: Positive | None = Field(default=None, description="minutes between two checkpoints")
    best_by: Annotated[ReturnSource, OneOf()] | None = Field(
        default=None,
        description="choose the best by evaluation or training_return; null: evaluation, if the run has evaluations",
    )
    keep_last: PositiveInt | None = Field(default=3, description="number of latest checkpoints to keep; null: all")
    keep_best: PositiveInt = Field(default=1, description="number of best checkpoints to keep")
    milestone_steps: PositiveInt | None = Field(
        default=None, description="also keep the first checkpoint after each multiple of this many steps"
    )
    max_disk_bytes: PositiveInt | None = Field(
        default=None, description="disk space for all checkpoints; the best and the last two are always kept"
    )
    self_test: Flag = Field(default=True, description="test at the start whether the environments resume exactly")


def _validate_enabled(enabled: bool) -> bool:
    if not enabled:
        raise ValueError("checkpoints are always on; leave it out")
    return enabled


class CheckpointCallbackConfig(Section):
    """Checkpoints, which are always on: this entry changes how they are kept."""

    type: Literal["checkpoint"]
    enabled: Annotated[Flag, AfterValidator(_validate_enabled)] = Field(default=True, description="true only")
    params: CheckpointParams = CheckpointParams()


class CallbackConfig(Section):
    """One callback besides those that are always on."""

    type: Text = Field(description="a name that `sb3-ext config callbacks` lists, or module:Name of your own")
    enabled: Flag = Field(default=True, description="false leaves it out")
    params: Arguments = Field(default={}, description="keyword arguments of its constructor")


CallbackEntry: TypeAlias = Annotated[
    Annotated[CheckpointCallbackConfig, tag(CHECKPOINT_TYPE)] | Annotated[CallbackConfig, OTHER],
    by_type(CHECKPOINT_TYPE),
]
