"""The sections ``eval`` and ``early_stopping``: evaluations during training, and rules that end it early."""

from __future__ import annotations

from typing import Annotated, Literal, TypeAlias

from pydantic import Field, model_validator

from sb3_ext.config.fields import Arguments, Flag, OneOf, Prefix, Text, Wrapper
from sb3_ext.config.section import Section
from sb3_ext.ranges import Finite, NonNegative, NonNegativeInt, PositiveInt

ReturnSource: TypeAlias = Literal["training_return", "evaluation"]
"""Which returns are averaged: those of training episodes, or those of evaluations."""

FINAL, CURRENT = "final", "current"
EvalStage: TypeAlias = Literal["final", "current"]
"""In which stage of a curriculum an evaluation is made."""


class EvalEnvConfig(Section):
    """How the environments of evaluations differ from those of training, such as by unseen levels."""

    id: Text | None = Field(default=None, description="another environment with the same spaces; null: env.id")
    params: Arguments = Field(
        default={}, description="keyword arguments that replace those of env.params; all of them if id is given"
    )
    max_steps: PositiveInt | None = Field(default=None, description="truncate episodes after so many; null: as in env")
    wrappers: list[Wrapper] | None = Field(default=None, description="in place of env.wrappers; null: the same")


class OneEvalConfig(Section):
    """When and how the agent is evaluated during training, in one environment."""

    name: Prefix | None = Field(default=None, description="its name in logs, curves and files; null: by its position")
    every_steps: PositiveInt | None = Field(default=10_000, description="transitions between two evaluations")
    every_episodes: PositiveInt | None = Field(default=None, description="episodes between two evaluations")
    episodes: PositiveInt = Field(default=10, description="episodes of one evaluation")
    max_steps: PositiveInt | None = Field(
        default=30_000, description="truncate an evaluation's episode after this many steps; null: never"
    )
    deterministic: Flag = Field(default=True, description="take the most likely action instead of sampling")
    num_envs: PositiveInt | None = Field(
        default=None,
        description="number of environments; null: one for each episode, or as few as play them in the same number of "
        "rounds as 16 (512 boards of a game)",
    )
    positions: PositiveInt | None = Field(
        default=None,
        description="games: solved positions of each phase and difficulty in which right moves are counted; null: none",
    )
    opponents: dict[str, NonNegative] = Field(
        default={},
        description="games: share of each opponent, in any unit: random, alpha_beta_4, mcts_100, a run, …; "
        "{}: the heuristics of the pool, or the opponent of training",
    )
    background: Flag = Field(default=False, description="evaluate in another process while training goes on")
    info: list[Text] = Field(
        default=[], description="numbers that the environment returns in info at the end of an episode, to average"
    )
    stage: Annotated[EvalStage, OneOf()] = Field(
        default="final", description="with train.curriculum: evaluate in the final stage, or in the current one"
    )
    env: EvalEnvConfig = EvalEnvConfig()


class EvalConfig(OneEvalConfig):
    """When and how the agent is evaluated. The first of several evaluations decides which checkpoint is the best."""

    also: list[OneEvalConfig] = Field(
        default=[],
        description="further evaluations; `eval: [first, second]` is the same as also: [second] in the first",
    )

    @property
    def others(self) -> dict[str, OneEvalConfig]:
        """The further evaluations by their names."""
        return {other.name or f"eval_{number}": other for number, other in enumerate(self.also, start=2)}

    @property
    def by_name(self) -> dict[str, OneEvalConfig]:
        """All evaluations by their names; the first is ``eval`` unless it has a name."""
        return {self.name or "eval": self, **self.others}

    @model_validator(mode="after")
    def _check_names(self) -> EvalConfig:
        if len(self.others) < len(self.also) or self.name in self.others:
            raise ValueError("two evaluations have the same name; give each another one")
        return self


class TargetConfig(Section):
    """Stop when the average return has reached a target and stays there."""

    target_return: Finite = Field(alias="return", description="the average to reach")
    by: Annotated[ReturnSource, OneOf()] = Field(
        default="training_return", description="what is averaged: training_return or evaluation"
    )
    window: PositiveInt = Field(default=20, description="how many episodes, or evaluations, are averaged")
    patience: PositiveInt = Field(
        default=10,
        description="consecutive checks at which the target is reached; one after every episode or evaluation",
    )


class PlateauConfig(Section):
    """Stop when the average return stops improving."""

    by: Annotated[ReturnSource, OneOf()] = Field(
        default="training_return", description="what is averaged: training_return or evaluation"
    )
    patience: PositiveInt = Field(
        default=50,
        description="consecutive checks without an improvement; one after every window of training episodes "
        "(50 windows of 20 are 1,000 episodes), or after every evaluation",
    )
    min_delta: NonNegative = Field(
        default=0.0, description="by how much an average must be better to count as an improvement"
    )
    in_standard_errors: Flag = Field(
        default=False, description="min_delta is in standard errors of the average, not in units of return"
    )
    warm_up: NonNegativeInt = Field(default=0, description="checks at the start that do not count towards patience")
    window: PositiveInt = Field(
        default=20, description="how many training episodes are averaged for a check; windows do not overlap"
    )


class EarlyStoppingConfig(Section):
    """Rules that end training before the bounds in the section ``train``."""

    target: TargetConfig | None = Field(default=None, description="stop when the target is reached")
    plateau: PlateauConfig | None = Field(default=None, description="stop when there is no improvement")
