"""The entries of ``train.curriculum``: stages that change the environment during training."""

from __future__ import annotations

from typing import Annotated, Any, TypeAlias

from pydantic import Discriminator, Field, Tag, model_validator

from sb3_ext.config.evaluation_schema import ReturnSource
from sb3_ext.config.fields import Arguments, OneOf, Text, expect
from sb3_ext.config.section import Section
from sb3_ext.ranges import Finite, PositiveFraction, PositiveInt

DEFAULT_WINDOW_EPISODES, DEFAULT_WINDOW_EVALUATIONS = 20, 1

Calls = Annotated[dict[str, dict[str, Any] | None], expect("a mapping of methods to their keyword arguments")]


class ConditionConfig(Section):
    """When a stage begins: all that is given must hold at the same time."""

    target_return: Finite | None = Field(default=None, alias="return", description="mean return to reach")
    success_rate: PositiveFraction | None = Field(
        default=None, description="share of episodes whose last info has is_success: true"
    )
    steps: PositiveInt | None = Field(default=None, description="transitions of the whole training")
    stage_steps: PositiveInt | None = Field(default=None, description="transitions since the stage before has begun")
    by: Annotated[ReturnSource, OneOf()] = Field(
        default="training_return",
        description="return and success_rate are those of: training_return (training episodes) or evaluation",
    )
    window: PositiveInt | None = Field(
        default=None,
        description=f"how many episodes, or evaluations, are averaged; null: {DEFAULT_WINDOW_EPISODES} episodes, or "
        f"{DEFAULT_WINDOW_EVALUATIONS} evaluation",
    )
    patience: PositiveInt = Field(default=1, description="consecutive checks at which the mean is reached")

    @model_validator(mode="after")
    def _check_given(self) -> ConditionConfig:
        if not self.measures and self.steps is None and self.stage_steps is None:
            raise ValueError("no condition; give return, success_rate, steps or stage_steps")
        return self

    @property
    def measures(self) -> dict[str, float]:
        """The means to reach, by name."""
        given = {"return": self.target_return, "success_rate": self.success_rate}
        return {name: value for name, value in given.items() if value is not None}

    @property
    def window_length(self) -> int:
        """Number of episodes, or evaluations, to average."""
        if self.window is not None:
            return self.window
        return DEFAULT_WINDOW_EVALUATIONS if self.by == "evaluation" else DEFAULT_WINDOW_EPISODES


_ALL, _ANY = "<all>", "<any>"

When: TypeAlias = Annotated[
    Annotated[ConditionConfig, Tag(_ALL)] | Annotated[list[ConditionConfig], Field(min_length=1), Tag(_ANY)],
    Discriminator(lambda value: _ANY if isinstance(value, list) else _ALL),
]


class StageConfig(Section):
    """One stage of a curriculum: what it changes, and when it begins."""

    name: Text | None = Field(default=None, description="its name in logs and curves; null: its number")
    when: When | None = Field(
        default=None,
        description="when it begins: return, success_rate, steps, stage_steps, which must hold together; a list of "
        "such mappings: one of them must hold; null, in the first stage only: from the start",
    )
    attributes: Arguments = Field(default={}, alias="set", description="attributes of the environment to set")
    calls: Calls = Field(
        default={}, alias="call", description="methods of the environment to call, with their keyword arguments"
    )
    params: Arguments = Field(
        default={},
        description="keyword arguments to replace in env.params: each environment is made again at the end of its "
        "episode",
    )

    @model_validator(mode="after")
    def _check_changes(self) -> StageConfig:
        if not (self.attributes or self.calls or self.params):
            raise ValueError("this stage changes nothing; give set, call or params")
        for name in (*self.attributes, *self.calls):
            if not name.isidentifier() or name.startswith("__"):
                raise ValueError(f"expected the name of an attribute or a method, found '{name}'")
        return self

    @property
    def conditions(self) -> list[ConditionConfig]:
        """The conditions, one of which must hold; empty for a stage from the start."""
        if self.when is None:
            return []
        return self.when if isinstance(self.when, list) else [self.when]

    def get_title(self, number: int) -> str:
        """
        :param number: of the stage, from 1
        :return: its name, or ``stage 2``
        """
        return self.name or f"stage {number}"
