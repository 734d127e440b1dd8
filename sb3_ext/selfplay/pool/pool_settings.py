"""The parameters of an opponent pool, validated."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from sb3_ext.arguments import find_argument_problems
from sb3_ext.config.game_schema import Eviction, Sampling, SelfPlayConfig
from sb3_ext.errors import SelfPlayError
from sb3_ext.ranges import Fraction, NonNegativeInt, PositiveInt

_DEFAULTS = SelfPlayConfig()


@dataclass(frozen=True)
class PoolSettings:
    """
    Parameters of a pool; see :class:`~sb3_ext.selfplay.pool.pool.OpponentPool`.

    :raises SelfPlayError: if one is out of its range
    """

    start_episode: NonNegativeInt = _DEFAULTS.start_episode
    current_self_fraction: Fraction = _DEFAULTS.current_self_fraction
    past_self_fraction: Fraction = _DEFAULTS.past_self_fraction
    max_frozen_agents: PositiveInt = _DEFAULTS.max_frozen_agents
    save_every: PositiveInt = _DEFAULTS.save_every
    sampling: Sampling = _DEFAULTS.sampling
    eviction: Eviction = _DEFAULTS.eviction
    max_in_memory: PositiveInt = 16

    def __post_init__(self) -> None:
        for problem in find_argument_problems(type(self), vars(self)):
            raise SelfPlayError(f"{problem.key[0]}: {problem.message}")
        self._check_share_of_self(self._share_of_self <= 1 + 1e-9, "at most 1")

    def check_opponents(self, *, has_heuristics: bool) -> None:
        """
        :param has_heuristics: whether the pool has heuristics
        :raises SelfPlayError: if there would be no opponent to draw
        """
        if has_heuristics:
            return
        self._check_share_of_self(self._share_of_self >= 1 - 1e-9, "1, since there are no heuristics")
        _check("start_episode", self.start_episode, self.start_episode == 0, "0, since there are no heuristics")

    @property
    def _share_of_self(self) -> float:
        return self.current_self_fraction + self.past_self_fraction

    def _check_share_of_self(self, is_good: bool, expected: str) -> None:
        found = f"{self.current_self_fraction:g} + {self.past_self_fraction:g}"  # one of them may be a default
        _check("current_self_fraction + past_self_fraction", found, is_good, expected)


def _check(name: str, value: Any, is_good: bool, expected: str) -> None:
    if not is_good:
        raise SelfPlayError(f"{name}: expected {expected}, found {value}")
