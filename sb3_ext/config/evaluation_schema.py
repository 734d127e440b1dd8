"""The sections on judging the agent: when it is evaluated, and when its returns end training."""

from __future__ import annotations

from typing import Annotated, Literal, TypeAlias

from pydantic import Field

from sb3_ext.config.fields import Arguments, Flag, OneOf
from sb3_ext.config.section import Section
from sb3_ext.ranges import Finite, NonNegative, NonNegativeInt, PositiveInt

ReturnSource: TypeAlias = Literal["training_return", "evaluation"]
"""What is averaged: the returns of training's own episodes, or those of evaluations."""


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

    target_return: Finite = Field(alias="return", description="the average to reach")
    by: Annotated[ReturnSource, OneOf()] = Field(
        default="training_return", description="what is averaged: training_return or evaluation"
    )
    window: PositiveInt = Field(default=20, description="how many episodes, or evaluations, are averaged")
    patience: PositiveInt = Field(
        default=10, description="checks in a row at which it must hold; every episode, or every evaluation, is a check"
    )


class PlateauConfig(Section):
    """Training has stopped improving."""

    by: Annotated[ReturnSource, OneOf()] = Field(
        default="training_return", description="what is averaged: training_return or evaluation"
    )
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
