"""The sections of a two-player game: the game and the opponents."""

from __future__ import annotations

from typing import Annotated, Literal, TypeAlias

from pydantic import Field, model_validator

from sb3_ext.algorithms.algorithm_registry import LOOKAHEAD_TEMPERATURE
from sb3_ext.config.entry import OTHER, by_type, tag
from sb3_ext.config.fields import Arguments, Flag, OneOf, Text
from sb3_ext.config.section import Section
from sb3_ext.ranges import Fraction, NonNegative, NonNegativeInt, Positive, PositiveInt

POOL_TYPE: Literal["pool"] = "pool"
CHECKPOINT_OPPONENT_TYPE: Literal["checkpoint"] = "checkpoint"

StartPolicy: TypeAlias = Literal["random", "agent_first", "opponent_first", "alternate"]
"""Who moves first."""

IllegalMove: TypeAlias = Literal["mask", "lose", "random_legal"]
"""How illegal moves of the agent are handled."""

Sampling: TypeAlias = Literal["uniform", "latest", "prioritized"]
"""How past selves are drawn from a pool."""

Eviction: TypeAlias = Literal["oldest", "reservoir"]
"""Which past self leaves a full pool."""

_TOLERANCE = 1e-9


class GameConfig(Section):
    """A two-player turn-based game."""

    id: Text = Field(description="connect4, a PettingZoo game such as pettingzoo.classic.tictactoe_v3, or module:Name")
    params: Arguments = Field(default={}, description="keyword arguments of the game")


class SelfPlayConfig(Section):
    """How often the agent plays against itself and its past selves."""

    start_episode: NonNegativeInt = Field(default=1000, description="only heuristics before this episode")
    current_self_fraction: Fraction = Field(default=0.3, description="probability of playing against the current agent")
    past_self_fraction: Fraction = Field(
        default=0.3, description="probability of playing against a frozen past self; the rest: heuristics"
    )
    mirror_fraction: Fraction = Field(
        default=0.0, description="share of the boards on which the agent plays both seats and learns from every move"
    )
    max_frozen_agents: PositiveInt = Field(default=10, description="how many past selves are kept in the pool")
    save_every: PositiveInt = Field(default=500, description="episodes between two snapshots")
    sampling: Annotated[Sampling, OneOf()] = Field(
        default="uniform",
        description="how past selves are drawn: uniform, latest, or prioritized by how often the agent loses to them",
    )
    eviction: Annotated[Eviction, OneOf()] = Field(
        default="oldest", description="which past self leaves a full pool: the oldest, or one by reservoir sampling"
    )

    @model_validator(mode="after")
    def _check_sum(self) -> SelfPlayConfig:
        total = self.current_self_fraction + self.past_self_fraction
        if total > 1 + _TOLERANCE:
            raise ValueError(f"current_self_fraction + past_self_fraction is {total:g}, expected at most 1")
        return self


class StartPositionsConfig(Section):
    """Shares of the training games that start in the middle of another game, not after an opening."""

    random: Fraction = Field(default=0.0, description="after a random number of moves of a random game")
    replay: Fraction = Field(default=0.0, description="after a random number of moves of one of the latest games")
    lost: Fraction = Field(default=0.0, description="in the second half of one of the latest games that the agent lost")
    memory_games: PositiveInt = Field(default=2000, description="how many latest games, and lost ones, are remembered")

    @model_validator(mode="after")
    def _check_sum(self) -> StartPositionsConfig:
        total = self.random + self.replay + self.lost
        if total > 1 + _TOLERANCE:
            raise ValueError(f"random + replay + lost is {total:g}, expected at most 1")
        return self


class LookaheadConfig(Section):
    """Learn from the values of all legal moves in each position, found by a lookahead of one move."""

    temperature: Positive = Field(
        default=LOOKAHEAD_TEMPERATURE,
        description="the policy learns the softmax of move values divided by it; a win is worth 1",
    )


class PoolParams(Section):
    """Parameters of the opponent of type ``pool``."""

    self_play: SelfPlayConfig = SelfPlayConfig()
    heuristic_distribution: dict[str, NonNegative] = Field(
        default={"random": 1.0},
        description="share of each among the opponents that do not learn, in any unit: random, alpha_beta_2, a run, …",
    )

    @model_validator(mode="after")
    def _check_opponents(self) -> PoolParams:
        if sum(self.heuristic_distribution.values()) > 0:
            return self
        if self.heuristic_distribution:
            raise ValueError("the shares in heuristic_distribution are all 0")
        chances = self.self_play
        if chances.current_self_fraction + chances.past_self_fraction < 1 - _TOLERANCE or chances.start_episode > 0:
            raise ValueError(
                "an empty pool: without heuristics, self_play needs start_episode 0 and fractions that add up to 1"
            )
        return self


class CheckpointOpponentParams(Section):
    """Parameters of the opponent of type ``checkpoint``."""

    path: Text = Field(description="a run, a checkpoint, or a zip saved by SB3")
    algorithm: Text | None = Field(default=None, description="algorithm of a zip, such as ppo")
    deterministic: Flag = Field(default=False, description="always play the most likely move")


class PoolConfig(Section):
    """A pool of opponents: heuristics, the agent itself and its past selves."""

    type: Literal["pool"]
    params: PoolParams = PoolParams()


class CheckpointOpponentConfig(Section):
    """A trained agent."""

    type: Literal["checkpoint"]
    params: CheckpointOpponentParams = Field(default={}, validate_default=True)


class OpponentConfig(Section):
    """Any other opponent."""

    type: Text = Field(
        description="pool, random, heuristic, smart_heuristic, alpha_beta, perfect, checkpoint, or module:Name"
    )
    params: Arguments = Field(
        default={}, description="pool: self_play, heuristic_distribution; else the opponent's own"
    )


OpponentEntry: TypeAlias = Annotated[
    Annotated[PoolConfig, tag(POOL_TYPE)]
    | Annotated[CheckpointOpponentConfig, tag(CHECKPOINT_OPPONENT_TYPE)]
    | Annotated[OpponentConfig, OTHER],
    by_type(POOL_TYPE, CHECKPOINT_OPPONENT_TYPE),
]
