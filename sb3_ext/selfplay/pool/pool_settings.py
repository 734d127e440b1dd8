"""What a pool of opponents can be told, and what it cannot."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, get_args

from sb3_ext.errors import SelfPlayError
from sb3_ext.ranges import FRACTION, NON_NEGATIVE_INTEGER, POSITIVE_INTEGER
from sb3_ext.selfplay.pool.matchmaking import Eviction, Sampling

_RANGES = {
    "start_episode": NON_NEGATIVE_INTEGER,
    "current_self_fraction": FRACTION,
    "past_self_fraction": FRACTION,
    "max_frozen_agents": POSITIVE_INTEGER,
    "save_every": POSITIVE_INTEGER,
    "max_in_memory": POSITIVE_INTEGER,
}


@dataclass(frozen=True)
class PoolSettings:
    """
    Parameters of a pool; see :class:`~sb3_ext.selfplay.pool.pool.OpponentPool`.

    :raises SelfPlayError: if one is out of its range
    """

    start_episode: int = 1000
    current_self_fraction: float = 0.3
    past_self_fraction: float = 0.3
    max_frozen_agents: int = 10
    save_every: int = 500
    sampling: Sampling = "uniform"
    eviction: Eviction = "oldest"
    max_in_memory: int = 16

    def __post_init__(self) -> None:
        for name, allowed in _RANGES.items():
            value = getattr(self, name)
            _check(name, value, value in allowed, allowed.words)
        self._check_share_of_self(self._share_of_self <= 1 + 1e-9, "at most 1")
        for name, choices in (("sampling", get_args(Sampling)), ("eviction", get_args(Eviction))):
            _check(name, getattr(self, name), getattr(self, name) in choices, f"one of {', '.join(choices)}")

    def check_opponents(self, *, has_heuristics: bool) -> None:
        """
        :param has_heuristics: whether there are any
        :raises SelfPlayError: if there would be nobody to play against
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
